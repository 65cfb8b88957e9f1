#!/usr/bin/env bash
# Runs the tests, which are built: test.sh [OPTION OF swift test...]
# Of thousands of lines the reasons of a failure would be anywhere: they are said again at the end, before the closing line.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
swift test --skip-build --disable-xctest "$@" 2>&1 | tee "$log" || status=$?
[ "$status" -ne 0 ] || exit 0

closing=$(grep -E '^. Test run with [0-9]+ test' "$log" | tail -1 || true)
echo
echo "What failed:"
# An issue with up to 4 lines of what follows it, each of a length that can be read.
awk '/^✘ .* recorded an issue / { print "  " substr($0, 1, 600); left = 4; next }
     /^(◇|✔|✘|↳) / { left = 0 }
     left > 0 { print "      " substr($0, 1, 200); left-- }' "$log"
if [ -z "$closing" ]; then
    echo "The tests ended before all had run. The last lines:"
    tail -n 20 "$log"
else
    echo "$closing"
fi
exit "$status"
