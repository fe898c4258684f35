#!/usr/bin/env bash
# Runs every fuzz target in sequence, each for the given time:
#
#   scripts/fuzz.sh 10m
#
# An input that fails is written to testdata/fuzz beside its test. Commit it
# with the fix: from then on every test run tries it.
set -euo pipefail
cd "$(dirname "$0")/.."

fuzztime=${1:?give the time for each target, such as 5s or 10m}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

# stopped_late reports whether a target failed by a race in Go 1.26
# (https://go.dev/issue/75804): if the time ends at a bad moment, a target fails
# although it found nothing.
stopped_late() {
	grep -qx '    context deadline exceeded' "$log" &&
		! grep -Eq 'Failing input|seed corpus entry|hung or terminated|panic:' "$log"
}

# By default Go spends up to a minute on minimising each new input, which for inputs
# of 100 KB would be the whole time.
fuzz() {
	echo "== $2 in $1, $fuzztime"
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" -fuzzminimizetime 10x "$1" 2>&1 | tee "$log"; then
		return
	elif stopped_late; then
		echo "No input failed: Go stopped the target late."
	else
		failed+=("$2 in $1")
	fi
}

packages=$(find . -name node_modules -prune -o -name '*_test.go' -exec grep -l '^func Fuzz' {} + |
	sed 's,/[^/]*$,,' | sort -u)
for package in $packages; do
	targets=$(go test -list '^Fuzz' "$package" | sed -n '/^Fuzz/p')
	for target in $targets; do
		fuzz "$package" "$target"
	done
done

if [ ${#failed[@]} -gt 0 ]; then
	printf 'Failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
