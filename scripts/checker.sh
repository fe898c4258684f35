#!/bin/sh
# Tests the second count of lab/checker and runs it with the given arguments, see
# lab/checker/README.md. It needs bin/, as make build leaves it. Without a Python
# that can run it, it says so and leaves the check out.
set -eu
cd "$(dirname "$0")/.."

python=$(scripts/prerequisites.sh python)
if [ -z "$python" ]; then
	echo "No Python 3.9 or newer with time zones: lab/checker compares nothing."
	exit 0
fi
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/ ./lab/checker/topicdump
"$python" -B lab/checker/test_checker.py
exec "$python" -B lab/checker/check.py "$@"
