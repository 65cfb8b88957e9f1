#!/usr/bin/env bash
# Layout and syntax of everything that is not generated; what a tool that is not installed would find is left out, and said.
set -euo pipefail
cd "$(dirname "$0")/.."

swift_paths=(Package.swift Sources Fuzz/Package.swift Fuzz/Sources/Fuzz)
[ -d Tests ] && swift_paths+=(Tests)
echo "swift format lint"
swift format lint --strict --recursive "${swift_paths[@]}"

mapfile -t shell_files < <(git ls-files '*.sh' .ci/run)
if command -v shellcheck >/dev/null; then
    echo "shellcheck"
    shellcheck --external-sources "${shell_files[@]}"
else
    echo "shellcheck is not installed: bash -n"
    for file in "${shell_files[@]}"; do bash -n "$file"; done
fi

echo "python syntax"
git ls-files -z '*.py' | PYTHONPYCACHEPREFIX=.build/pycache xargs -0 -r python3 -m py_compile

echo "conformance"
python3 scripts/conformance.py --strict

if command -v luac5.1 >/dev/null; then
    echo "lua syntax"
    git ls-files -z '*.lua' | xargs -0 -r luac5.1 -p
fi
