#!/usr/bin/env bash
# Installs the programs of others that tests use when they are there:
#   exchangelib         Debian's python3-exchangelib, with apt, as root
#   PostgreSQL          Debian's postgresql, the same way; tests start servers of their own
#   dateutil            Debian's python3-dateutil, the same way
#   caldav              Debian's python3-caldav, the same way
#   vdirsyncer          Debian's vdirsyncer, the same way
#   radicale, xandikos, Cyrus  Debian's packages of CalDAV servers, the same way
#   ews-javascript-api and microsoft-graph-client  from the npm registry, into clients/node/node_modules
# It is quick when all are there, and exits 0 in every case: what is missing is
# said here, and again by the tests that skip.
set -uo pipefail
cd "$(dirname "$0")/.."

say() { echo "test-deps: $*"; }

# Debian's packages belong to /usr/bin/python3, whatever python3 the path finds.
has_python() { /usr/bin/python3 -c "import $1" 2>/dev/null || python3 -c "import $1" 2>/dev/null; }

# install_python MODULE [PACKAGE] installs Debian's package, python3-MODULE if it is not said.
install_python() {
	local module=$1 package=${2:-python3-$1}
	has_python "$module" && return
	if ! command -v apt-get >/dev/null; then
		say "$module is not installed: there is no apt-get here"
		return
	fi
	if [ "$(id -u)" != 0 ]; then
		say "$module is not installed: run as root, or: apt-get install $package"
		return
	fi
	say "installing $package"
	local log
	if ! log=$(export DEBIAN_FRONTEND=noninteractive; { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$package"; } 2>&1 </dev/null); then
		say "$module is not installed: $(tail -n 1 <<<"$log")"
	elif ! has_python "$module"; then
		say "$package was installed, but neither /usr/bin/python3 nor python3 can import it"
	fi
}

# install_cyrus installs Debian's Cyrus; the tests start it with files of their own.
install_cyrus() {
	[ -x /usr/lib/cyrus/bin/httpd ] && command -v saslpasswd2 >/dev/null && return
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		say "Cyrus is not installed: run as root, or: apt-get install cyrus-imapd cyrus-caldav sasl2-bin"
		return
	fi
	say "installing cyrus-imapd, cyrus-caldav and sasl2-bin"
	local log
	if ! log=$(export DEBIAN_FRONTEND=noninteractive; { apt-get -qq update && apt-get -qq install -y --no-install-recommends cyrus-imapd cyrus-caldav sasl2-bin; } 2>&1 </dev/null); then
		say "Cyrus is not installed: $(tail -n 1 <<<"$log")"
	fi
}

# npm writes node_modules/.package-lock.json last; it is newer than the lock of a whole installation.
has_node_clients() { [ clients/node/node_modules/.package-lock.json -nt clients/node/package-lock.json ]; }

install_node_clients() {
	has_node_clients && return
	if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
		say "clients of Node are not installed: there is no npm here"
		return
	fi
	say "installing clients of Node"
	local log
	if ! log=$(cd clients/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error 2>&1 </dev/null); then
		say "clients of Node are not installed: $(grep -m 1 -i 'err' <<<"$log" || tail -n 1 <<<"$log")"
		return
	fi
	touch clients/node/node_modules/.package-lock.json
}

# The server's programs are in a folder of their version, not in the path.
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

install_postgres() {
	has_postgres && return
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		say "PostgreSQL is not installed: run as root where there is apt-get, or: apt-get install postgresql"
		return
	fi
	say "installing postgresql"
	local log
	if ! log=$(export DEBIAN_FRONTEND=noninteractive; { apt-get -qq update && apt-get -qq install -y --no-install-recommends postgresql; } 2>&1 </dev/null); then
		say "PostgreSQL is not installed: $(tail -n 1 <<<"$log")"
	fi
}

install_python exchangelib
install_python dateutil
install_python caldav
install_python vdirsyncer vdirsyncer
install_python radicale radicale
install_python xandikos xandikos
install_cyrus
install_node_clients
install_postgres
exit 0
