#!/bin/sh
# Prints the linker flags with which `make build` gives the command its version: the
# newest tag v*, or the form that Go gives to a commit without a tag; the commit; the
# date of the commit. Outside of a git repository each of them is unknown.
set -eu
cd "$(dirname "$0")/.."

version=unknown commit=unknown date=unknown
# A folder without git may lie in the repository of something else.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] && git rev-parse --quiet --verify HEAD >/dev/null; then
	dirty=
	git diff-index --quiet HEAD 2>/dev/null || dirty=-dirty
	version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null ||
		TZ=UTC git log -1 --abbrev=12 --format=v0.0.0-%cd-%h --date=format-local:%Y%m%d%H%M%S)$dirty
	commit=$(git rev-parse HEAD)$dirty
	date=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
fi
echo "-X main.version=$version -X main.commit=$commit -X main.date=$date"
