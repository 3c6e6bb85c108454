#!/bin/sh
# Run every static check, all of them even when one fails, and say at the end which ones did.
set -u
cd "$(dirname "$0")/.." || exit 1
bin=.venv/bin
failed=

run() {
    name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed="$failed $name;"
}

run "ruff check" "$bin/ruff" check .
run "ruff format" "$bin/ruff" format --check .
run "mypy --strict" "$bin/mypy"
run "layers" "$bin/lint-imports" --no-cache
run "unit test mirror" "$bin/python" scripts/check_mirror.py
run "requirements" "$bin/python" scripts/check_rfc.py
run "sizes" "$bin/python" scripts/check_sizes.py

if [ -n "$failed" ]; then
    printf 'check: failed:%s\n' "$failed" >&2
    exit 1
fi
echo "check: all green"
