#!/bin/sh
# Checks that the tools for building and testing Footfall are installed, and prints
# one line for each missing tool with the place to get it.
#
#   scripts/prerequisites.sh         to build, run and test
#   scripts/prerequisites.sh race    also to detect data races, as CI does
#   scripts/prerequisites.sh python  only prints the Python of lab/checker, or nothing
#
# As root on Debian it installs missing tools if Debian's version is new enough.
set -eu
cd "$(dirname "$0")/.."

missing=0
updated=no

# at_least VERSION WANTED compares dotted numbers. An empty version counts as 0.
at_least() {
	awk -v have="$1" -v want="$2" 'BEGIN {
		split(have, h, "."); n = split(want, w, ".")
		for (i = 1; i <= n; i++) if (h[i] + 0 != w[i] + 0) exit h[i] + 0 < w[i] + 0
	}'
}

# version TOOL prints the installed version, or nothing if there is none.
version() {
	case $1 in
	# In this directory an older Go prints the version that it downloads for go.mod,
	# if downloads are allowed.
	go) go env GOVERSION | sed 's/^go//' ;;
	node) node --version | sed 's/^v//' ;;
	make | npm) command -v "$1" >/dev/null && echo 1 ;;
	# The checker reads time zones of the system.
	python) python3 -c 'import sys, zoneinfo; zoneinfo.ZoneInfo("Europe/Berlin"); print("%d.%d" % sys.version_info[:2])' ;;
	# Go turns cgo off if it finds no C compiler.
	cgo) go env CGO_ENABLED | grep 1 ;;
	esac 2>/dev/null || true
}

# debian_install WANTED PACKAGE... installs the packages if Debian offers the
# first of them in that version.
debian_install() {
	[ $# -gt 1 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
	if [ $updated = no ]; then
		apt-get update >/dev/null 2>&1 || true
		updated=yes
	fi
	wanted=$1
	shift
	offered=$(apt-cache policy "$1" | awk '$1 == "Candidate:" { sub(/^[0-9]+:/, "", $2); print $2 }')
	at_least "$offered" "$wanted" || return 0
	echo "Installing $* from Debian."
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >/dev/null || true
}

# need TOOL WANTED HOW PACKAGE... prints nothing if the tool is installed.
need() {
	tool=$1 wanted_version=$2 how=$3
	shift 3
	at_least "$(version "$tool")" "$wanted_version" && return
	debian_install "$wanted_version" "$@"
	found=$(version "$tool")
	at_least "$found" "$wanted_version" && return
	echo "Missing: $how${found:+ (this is $found)}." >&2
	missing=1
}

if [ "${1:-}" = python ]; then
	at_least "$(version python)" 3.9 && echo python3
	exit 0
fi

go_version=$(awk '$1 == "go" { print $2 }' go.mod)
node_version=$(sed -n 's/.*"node": *">=\([0-9.]*\)".*/\1/p' package.json)

need make 1 "make; get it from the system's packages" make
need go "$go_version" "Go $go_version or newer; get it from https://go.dev/dl/" golang-go
need node "$node_version" "Node.js $node_version or newer; get it from https://nodejs.org/en/download" nodejs npm
# Not from Debian alone: its npm depends on its Node.js, which may be too old.
need npm 1 "npm; it comes with Node.js from https://nodejs.org/en/download"
if [ "${1:-}" = race ] && [ $missing = 0 ]; then
	# Without it one check is left out, and nothing fails.
	at_least "$(version python)" 3.9 || debian_install 3.9 python3 tzdata
	at_least "$(version python)" 3.9 || echo "Without Python 3.9 or newer and its time zones, make check leaves out lab/checker." >&2
	need cgo 1 "a C compiler for the race detector; get gcc from the system's packages (and do not set CGO_ENABLED=0)" gcc libc6-dev
fi
exit $missing
