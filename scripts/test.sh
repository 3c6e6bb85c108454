#!/bin/sh
# Run pytest under coverage; a run of everything also has to keep the floors of check_coverage.py.
# Arguments go to pytest; with a path or a selection among them the floors are not asked, and one
# process runs all of them, so that -s, -x and --pdb do what they say.
set -u
cd "$(dirname "$0")/.." || exit 1
bin=.venv/bin
# where nothing may be kept, hundreds of programs that tests start would compile the edge anew
unset PYTHONDONTWRITEBYTECODE

rm -f .coverage .coverage.*
if [ $# -eq 0 ]; then
    # many tests wait for programs that they have started: one process more than there are processors
    "$bin/coverage" run -m pytest -n "$(($(nproc) + 1))" --dist worksteal
else
    "$bin/coverage" run -m pytest "$@"
fi
status=$?
# every process, those of the programs under test too, wrote a file of its own
if ls .coverage.* >/dev/null 2>&1; then
    "$bin/coverage" combine -q || exit 1
fi
[ "$status" -eq 0 ] || exit "$status"
[ $# -eq 0 ] || exit 0

mkdir -p var
"$bin/coverage" report --skip-covered --skip-empty || exit 1
"$bin/coverage" json -q -o var/coverage.json || exit 1
"$bin/python" scripts/check_coverage.py var/coverage.json
