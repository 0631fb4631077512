#!/usr/bin/env bash
# Usage: scripts/test.sh [--layer LAYER]... [--fast] [--pythons] [-- PYTEST-ARGUMENT...]
#
# Sets up what is missing, then runs the checks of every layer.
#
#   --layer LAYER  only this one: lint, yours or contract; may be repeated
#   --fast         leave out the tests marked slow
#   --pythons      run the test layers on every Python the lock holds for that this machine has

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

layers=() fast='' pythons=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --layer)
        case ${2:-} in
        lint | yours | contract) layers+=("$2") ;;
        *) usage_error "--layer needs lint, yours or contract, not '${2:-}'" ;;
        esac
        shift
        ;;
    --fast) fast=1 ;;
    --pythons) pythons=1 ;;
    --)
        shift
        break
        ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done
[ ${#layers[@]} -gt 0 ] || layers=(lint yours contract)

cd "$ROOT"
started=$(now)
scripts/setup.sh --quiet
mkdir -p -m 700 var
work=$(mktemp -d var/test.XXXXXX) || die "cannot write to $ROOT/var"
# What still runs in the background ends with this script.
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

lint='' yours='' contract='' folders=()
for layer in "${layers[@]}"; do printf -v "$layer" 1; done
# All tests but the contract's are yours, wherever below pyproject.toml's testpaths they are.
[ -n "$contract" ] || folders=(--ignore=tests/contract)
[ -n "$yours" ] || folders=(tests/contract)
arguments=(--numprocesses auto --dist loadgroup ${folders[@]+"${folders[@]}"} "$@")
[ -z "$fast" ] || arguments+=(-m "not slow")

# check NAME COMMAND…: run it and leave its name, verdict, seconds and output in the work folder.
check() {
    local name=$1 begun verdict=passed
    shift
    begun=$(now)
    "$@" >"$work/$name.out" 2>&1 || verdict=failed
    printf '%-16s %-28s %6s s\n' "$name" "$verdict" "$(took "$begun")" >"$work/$name.line"
}

# Type checking takes as long as a layer of tests, so the lint runs beside them.
if [ -n "$lint" ]; then
    check mypy .venv/bin/mypy &
    (
        check ruff .venv/bin/ruff check .
        check format .venv/bin/ruff format --check .
        check yamllint .venv/bin/yamllint --strict .
        check licences .venv/bin/pip-licenses --summary
        check secrets .venv/bin/pre-commit run --all-files secrets
        if [ -x .venv/bin/shellcheck ]; then
            check shellcheck .venv/bin/shellcheck --external-sources scripts/*.sh
        else # its package has no wheel for Linux on ARM
            printf '%-16s %s\n' shellcheck 'not run, this machine has none' >"$work/shellcheck.line"
        fi
    ) &
fi

failed=''
if [ -n "$pythons" ]; then
    # uv looks on PATH and not under pyenv, so the interpreters found are put on PATH.
    environments=''
    for version in 3.11 3.12 3.13; do
        python=$(find_python "$version") || { echo "not run, this machine has no Python $version" && continue; }
        environments=${environments:+$environments,}py${version/./}
        PATH=$(dirname "$python"):$PATH
    done
    .venv/bin/tox run -e "$environments" -- "${arguments[@]}" || failed=1
elif [ -n "$yours$contract" ]; then
    .venv/bin/python -m pytest "${arguments[@]}" || failed=1
fi
wait

echo
while read -r line; do
    failed=1
    sed "s/^/$(basename "$line" .line): /" "${line%.line}.out"
done < <(grep -LE 'passed|not run' "$work"/*.line 2>/dev/null)
cat "$work"/*.line 2>/dev/null || true
echo
[ -z "$failed" ] || die "not all checks passed ($(took "$started") s)"
echo "All checks passed in $(took "$started") s"
