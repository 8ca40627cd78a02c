#!/usr/bin/env bash
# Installs the programs of others that tests use when they are there:
#   exchangelib         Debian's python3-exchangelib, with apt, as root
#   dateutil            Debian's python3-dateutil, the same way
#   ews-javascript-api and microsoft-graph-client  from the npm registry, into clients/node/node_modules
# It is quick when all are there, and exits 0 in every case: what is missing is
# said here, and again by the tests that skip.
set -uo pipefail
cd "$(dirname "$0")/.."

say() { echo "test-deps: $*"; }

# Debian's packages belong to /usr/bin/python3, whatever python3 the path finds.
has_python() { /usr/bin/python3 -c "import $1" 2>/dev/null || python3 -c "import $1" 2>/dev/null; }

# install_python MODULE installs Debian's package python3-MODULE.
install_python() {
	local module=$1
	has_python "$module" && return
	if ! command -v apt-get >/dev/null; then
		say "$module is not installed: there is no apt-get here"
		return
	fi
	if [ "$(id -u)" != 0 ]; then
		say "$module is not installed: run as root, or: apt-get install python3-$module"
		return
	fi
	say "installing python3-$module"
	local log
	if ! log=$(export DEBIAN_FRONTEND=noninteractive; { apt-get -qq update && apt-get -qq install -y --no-install-recommends "python3-$module"; } 2>&1 </dev/null); then
		say "$module is not installed: $(tail -n 1 <<<"$log")"
	elif ! has_python "$module"; then
		say "python3-$module was installed, but neither /usr/bin/python3 nor python3 can import it"
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

install_python exchangelib
install_python dateutil
install_node_clients
exit 0
