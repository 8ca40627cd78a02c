#!/usr/bin/env bash
# Builds the Debian package of a binary: packaging/deb.sh BINARY VERSION OUT-DIR.
# It needs dpkg-deb and gzip, no root and no network. The same binary, version and
# SOURCE_DATE_EPOCH make the same package, byte by byte.
set -euo pipefail
[ $# = 3 ] || { echo "usage: packaging/deb.sh BINARY VERSION OUT-DIR" >&2; exit 2; }
binary=$(realpath "$1") version=$2 out=$(realpath "$3")
cd "$(dirname "$0")/.."

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
# Debian's versions begin with a digit and have no hyphen here: v1.2.0-3-gabc is
# 1.2.0+3.gabc, and a commit without a tag is 0~abc.
version=$(sed -E 's/^v([0-9])/\1/; s/^([^0-9].*|[0-9a-f]{7,40}(-dirty)?)$/0~\1/; s/-/+/; s/-/./g' <<<"$version")
arch=${DEB_ARCH:-$(dpkg --print-architecture)}
maintainer="${DEBFULLNAME:-busybridge maintainers} <${DEBEMAIL:-maintainers@contoso.com}>"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
chmod 0755 "$root" # mktemp's is the owner's alone
doc=$root/usr/share/doc/busybridge

put() { install -D -m "$1" "$2" "$root/$3"; } # MODE FILE PATH
put 0755 "$binary" usr/bin/busybridge
put 0644 packaging/systemd/busybridge.service lib/systemd/system/busybridge.service
put 0644 packaging/debian/copyright usr/share/doc/busybridge/copyright
put 0644 packaging/debian/README.Debian usr/share/doc/busybridge/README.Debian
put 0644 packaging/debian/lintian-overrides usr/share/lintian/overrides/busybridge
for f in THIRD-PARTY.md docs/operations.md docs/configuration.md docs/cmdlets.md; do
	put 0644 "$f" "usr/share/doc/busybridge/$(basename "$f")"
done
put 0644 CHANGELOG.md usr/share/doc/busybridge/changelog
for f in packaging/grafana/busybridge.json packaging/prometheus/busybridge.rules.yml; do
	put 0644 "$f" "usr/share/doc/busybridge/examples/$(basename "$f")"
done
printf 'busybridge (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
	"$version-1" "$maintainer" "$(LC_ALL=C date -uR -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog.Debian"

# The store is where the service may write; all else is the example as it stands.
install -d "$root/etc/busybridge"
"$binary" check --example | sed 's|^  #path: busybridge.db$|  path: /var/lib/busybridge/busybridge.db|' >"$root/etc/busybridge/busybridge.yaml"
grep -q '^  path: /var/lib' "$root/etc/busybridge/busybridge.yaml" || { echo "deb.sh: the example has no store.path to replace" >&2; exit 1; }

"$binary" man "$root/usr/share/man/man1"
chmod 0755 "$root/usr/share/man" "$root/usr/share/man/man1" # busybridge man makes them 0750
for shell in bash:bash-completion/completions/busybridge zsh:zsh/vendor-completions/_busybridge fish:fish/vendor_completions.d/busybridge.fish; do
	install -d "$root/usr/share/$(dirname "${shell#*:}")"
	"$binary" completion "${shell%%:*}" >"$root/usr/share/${shell#*:}"
done
find "$root/usr/share/man" "$doc" -type f ! -path '*/examples/*' ! -name copyright ! -name README.Debian -exec gzip -9n {} +

install -d "$root/DEBIAN"
install -m 0755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$root/DEBIAN"
echo /etc/busybridge/busybridge.yaml >"$root/DEBIAN/conffiles"
(cd "$root" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
cat >"$root/DEBIAN/control" <<EOF
Package: busybridge
Version: $version-1
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
Depends: adduser, init-system-helpers (>= 1.52)
Recommends: ca-certificates, systemd
Suggests: prometheus, postgresql
Section: net
Priority: optional
Description: free/busy between two organizations on different calendar systems
 busybridge lets two organizations see each other's free/busy, trusted by OAuth
 server-to-server tokens, as Exchange hybrid does. It answers Autodiscover,
 Exchange Web Services, Microsoft Graph and CalDAV, and has a management shell
 that takes Exchange's cmdlets.
EOF
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build "$root" "$out/busybridge_$version-1_$arch.deb"
