#!/usr/bin/env bash
# Usage: scripts/test.sh [--fast | --all | --setup] [-- PYTEST-OPTION…]
#
# Sets up the template's own environment in .venv and runs its tests, on all cores. What this machine
# cannot run is skipped, and listed with the reason at the end; with CI=true a skip is a failure.
#
#   --fast            leave out the tests that build or update whole projects: about 3 minutes
#   --all             every combination of options, every other data set, every case: hours
#   --setup           set up only
#   PYTEST-OPTION…    passed to pytest, for example tests/template/test_render.py or -k licence
#
# Needs git and Python 3.11, 3.12 or 3.13; nothing else.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

select='not rare' only_setup=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --fast) select='not slow and not rare' ;;
    --all) select='' ;;
    --setup) only_setup=1 ;;
    --) shift && break ;;
    *) usage_error "unknown argument '$1'; options for pytest come after --" ;;
    esac
    shift
done

# The template's own package, editable: its code is what is tested.
install_itself() {
    "$UV" pip install --quiet --python "$VENV/bin/python" --offline --no-deps --no-build-isolation \
        --editable "$ROOT"
}

say "Setting up $ROOT"
choose_python
choose_uv
step "install packages" prepare main tools test docs dev
step "install groundwork" install_itself
[ -z "$only_setup" ] || exit 0

# Tests make and remove thousands of small files, for which memory is faster than a disk: by a third
# of the whole. What pytest keeps stays on the disk: it has environments.
if [ "$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 ] 2>/dev/null; then
    export PYTEST_DEBUG_TEMPROOT=${TMPDIR:-/tmp} TMPDIR=/dev/shm
fi

cd "$ROOT"
exec "$VENV/bin/python" -m pytest --numprocesses auto --dist loadgroup --no-loadscope-reorder \
    -m "$select" "$@"
