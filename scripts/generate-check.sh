#!/usr/bin/env bash
# Regenerates the generated files and fails when one of them was another before.
# The time zone table is made again only where npm and its registry are there.
set -euo pipefail
cd "$(dirname "$0")/.."

files=(internal/app/config/example.yaml busybridge.example.yaml docs/configuration.md THIRD-PARTY.md)
zones=internal/spec/wintz/table.go

before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
for f in "${files[@]}" "$zones"; do
	mkdir -p "$before/$(dirname "$f")"
	cp "$f" "$before/$f"
done

make --no-print-directory generate
if ! command -v npm >/dev/null; then
	echo "generate-check: no npm, so $zones was not made again"
elif ! log=$(make --no-print-directory generate-zones 2>&1); then
	echo "$log" | tail -n 5
	echo "generate-check: the Unicode CLDR cannot be had, so $zones was not made again"
	cp "$before/$zones" "$zones"
fi

bad=0
for f in "${files[@]}" "$zones"; do
	diff -u "$before/$f" "$f" || bad=1
done
[ "$bad" = 0 ] || { echo "generate-check: the files above were not up to date; they are now: commit them"; exit 1; }
echo "generate-check: all generated files are up to date"
