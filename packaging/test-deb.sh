#!/usr/bin/env bash
# Builds the Debian package, installs it on this machine, tries what it installed,
# removes and purges it: packaging/test-deb.sh [BINARY]. It needs root, and a machine
# where busybridge is not installed. With lintian, its verdict counts too.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "test-deb: $*"; }
fail() { echo "test-deb: FAIL: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "run as root"
if dpkg -s busybridge >/dev/null 2>&1 || [ -e /etc/busybridge ] || [ -e /var/lib/busybridge ]; then
	fail "busybridge is on this machine already"
fi

dir=$(mktemp -d)
chmod 0755 "$dir"
pid=
cleanup() {
	[ -z "$pid" ] || kill $(pgrep -u busybridge -x busybridge) 2>/dev/null || true
	dpkg --purge busybridge >/dev/null 2>&1 || true
	rm -rf "$dir" /etc/busybridge /var/lib/busybridge
}
trap cleanup EXIT

binary=${1:-bin/busybridge}
[ -x "$binary" ] || fail "$binary is not there; make build makes it"
export SOURCE_DATE_EPOCH=1767225600 DEB_BUILD_OPTIONS=
mkdir "$dir/a" "$dir/b"
packaging/deb.sh "$binary" v1.2.3 "$dir/a" >/dev/null
packaging/deb.sh "$binary" v1.2.3 "$dir/b" >/dev/null
deb=$(ls "$dir"/a/busybridge_1.2.3-1_*.deb)
cmp "$deb" "$dir/b/$(basename "$deb")" || fail "two builds of one binary differ"
say "built twice, the same: $(basename "$deb"), $(stat -c %s "$deb") bytes"
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$deb" || fail "lintian has objections"
	say "lintian: no errors, no warnings"
else
	say "lintian is not installed: skipped"
fi

# What the package depends on comes with it; apt has it in its cache or at its mirror.
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$deb" >"$dir/apt.log" 2>&1 || { cat "$dir/apt.log"; fail "apt-get install"; }
busybridge version
[ "$(stat -c '%U:%G %a' /var/lib/busybridge)" = "busybridge:busybridge 700" ] || fail "/var/lib/busybridge: $(stat -c '%U:%G %a' /var/lib/busybridge)"
[ "$(stat -c '%U:%G %a' /etc/busybridge/busybridge.yaml)" = "root:busybridge 640" ] || fail "configuration: $(stat -c '%U:%G %a' /etc/busybridge/busybridge.yaml)"
for f in man/man1/busybridge-serve.1.gz doc/busybridge/copyright doc/busybridge/THIRD-PARTY.md.gz bash-completion/completions/busybridge; do
	# A minimal Debian is told to leave documentation out.
	[ -s "/usr/share/$f" ] || dpkg -c "$deb" | grep -q "/usr/share/$f\$" || fail "/usr/share/$f is not there"
done
(cd / && md5sum --quiet -c /var/lib/dpkg/info/busybridge.md5sums 2>/dev/null) || say "some documentation is not unpacked on this machine"
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify --man=no /lib/systemd/system/busybridge.service 2>&1 | grep busybridge && fail "systemd-analyze verify"
	exposure=$(systemd-analyze security --offline=true --no-pager /lib/systemd/system/busybridge.service | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
	say "systemd-analyze security: exposure $exposure of 10"
	awk -v e="${exposure:-10}" 'BEGIN { exit !(e < 2) }' || fail "the unit exposes too much: $exposure"
fi

# The shipped configuration lacks what only the operator has, and nothing else.
config=/etc/busybridge/busybridge.yaml
as() { runuser -u busybridge -- "$@"; }
as busybridge check --config $config >"$dir/check.txt" 2>&1 && fail "the shipped configuration passes without a key"
for key in tls.certificate_file tls.key_file seal_key_file; do
	grep -q "$key: .*no such file" "$dir/check.txt" || fail "check does not ask for $key: $(cat "$dir/check.txt")"
done
[ "$(grep -c "^$config:" "$dir/check.txt")" = 3 ] || fail "check has more to say: $(cat "$dir/check.txt")"
cd /etc/busybridge
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mail.contoso.com \
	-addext subjectAltName=DNS:mail.contoso.com,DNS:autodiscover.contoso.com -keyout mail.contoso.com.key -out mail.contoso.com.pem 2>/dev/null
openssl rand -base64 32 >seal.key
chgrp busybridge seal.key mail.contoso.com.key
chmod 0640 seal.key mail.contoso.com.key
as busybridge check --config $config || fail "check"
BUSYBRIDGE_PASSWORD='a long password' as busybridge setup --config $config --organization Contoso --domain contoso.com --administrator admin@contoso.com || fail "setup"

# The unit's own command, as its user, on ports that need no capability.
BUSYBRIDGE_LISTEN=127.0.0.1:28443 BUSYBRIDGE_OPS_LISTEN=127.0.0.1:29443 BUSYBRIDGE_DRAIN_WAIT=1s as busybridge serve --config $config >"$dir/out" 2>"$dir/log" &
pid=$!
code() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:29443$1" || true; }
for _ in $(seq 100); do [ "$(code /readyz)" = 200 ] && break; sleep 0.2; done
[ "$(code /readyz)" = 200 ] || { cat "$dir/log"; fail "the service is not ready"; }
node=$(pgrep -u busybridge -x busybridge) # below runuser, which passes no SIGHUP on
sed -i 's/^  #level: info/  level: debug/' $config
kill -HUP "$node"
for _ in $(seq 50); do grep -q '"msg":"reloaded"' "$dir/log" && break; sleep 0.1; done
grep '"msg":"reloaded"' "$dir/log" || { cat "$dir/log"; fail "SIGHUP does not reload"; }
kill -TERM "$node"
for _ in $(seq 50); do [ "$(code /readyz)" = 503 ] && break; sleep 0.05; done
[ "$(code /readyz)" = 503 ] || fail "a node that stops says that it is ready"
wait $pid || { cat "$dir/log"; fail "the service ended with status $?"; }
pid=
say "ready, reloaded, drained, ended"

cd /
dpkg --remove busybridge >/dev/null
[ ! -e /usr/bin/busybridge ] && [ -e $config ] || fail "remove"
dpkg --purge busybridge
[ ! -e $config ] || fail "purge leaves the conffile"
[ -s /etc/busybridge/seal.key ] && [ -s /var/lib/busybridge/busybridge.db ] || fail "purge removed the operator's key or store"
rm -rf /etc/busybridge /var/lib/busybridge
say "passed"
