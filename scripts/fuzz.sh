#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (5s). No new target is begun
# after FUZZTOTAL seconds (1800). A target that finds something fails the run and
# leaves the input in its package's testdata/fuzz.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
fuzztime=${FUZZTIME:-5s}
total=${FUZZTOTAL:-1800}
go=${GO:-go}

packages=$(grep -rl --include='*_test.go' '^func Fuzz' internal cmd clients --exclude-dir=node_modules | xargs -n1 dirname | sort -u | sed 's|^|./|')
# "go test -list" prints the names of a package, then "ok <package> <time>".
targets=$(for p in $packages; do "$go" test -list '^Fuzz' "$p" | sed -n "s|^\(Fuzz[A-Za-z0-9_]*\)\$|$p \1|p"; done)

ran=0 left=0
while read -r package target; do
	if [ "$SECONDS" -ge "$total" ]; then
		left=$((left + 1))
		continue
	fi
	echo "fuzz: $package $target"
	# Short runs must not be spent on making interesting inputs smaller.
	"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 1x "$package"
	ran=$((ran + 1))
done <<<"$targets"
echo "fuzz: $ran targets ran $fuzztime each, $left not begun within ${total}s"
[ "$ran" -gt 0 ]
