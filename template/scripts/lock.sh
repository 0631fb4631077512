#!/usr/bin/env bash
# Usage: scripts/lock.sh [--upgrade]
#        scripts/lock.sh add PACKAGE... [--group GROUP]
#        scripts/lock.sh --check
#        scripts/lock.sh --diff COMMIT
#
# The one way to change dependencies: resolves pyproject.toml into poetry.lock, exports
# requirements/*.txt, installs them, and rewrites docs/environment.md. All of it, or nothing.
#
#   (nothing)      after editing pyproject.toml; versions that still fit stay as they are
#   --upgrade      move every package to the newest version that fits
#   add PACKAGE    add packages, such as 'polars>=1,<2', to pyproject.toml first
#   --group GROUP  add them to this dependency group, such as dev
#   --check        only say whether pyproject.toml, lock, exports and page agree; asks Poetry where one
#                  of them is not what this script wrote
#   --diff COMMIT  only say which versions moved since a commit
#
# Behind a mirror without PyPI's JSON API, set POETRY_PYPI_MIRROR_URL to its simple address.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

action=lock options=() packages=() commit=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --upgrade) options=(--regenerate) ;;
    --check) action=check ;;
    --diff)
        action=diff commit=${2:-}
        [ -n "$commit" ] || usage_error "--diff needs a commit"
        shift
        ;;
    --group)
        [ -n "${2:-}" ] || usage_error "--group needs a name"
        options=(--group "$2")
        shift
        ;;
    -*) usage_error "unknown argument '$1'" ;;
    add) [ "$action" = lock ] && action=add || packages+=("$1") ;;
    *)
        [ "$action" = add ] || usage_error "unknown argument '$1'"
        packages+=("$1")
        ;;
    esac
    shift
done
[ "$action" != add ] || [ ${#packages[@]} -gt 0 ] || usage_error "add needs the name of a package"

cd "$ROOT"
export ML_ROOT=$ROOT
started=$(now)
python=$VENV/bin/python
exporter=$ROOT/src/$(package)/ops/provenance/exports.py

# make_work: a folder for what is made before anything is changed, gone when this ends.
make_work() {
    mkdir -p -m 700 var
    work=$(mktemp -d "$ROOT/var/lock.XXXXXX") || die "cannot write to $ROOT/var"
    trap 'rm -rf "$work"' EXIT
}

# show_moves: which versions moved from the poetry.lock on stdin to the one here.
show_moves() {
    "$python" -c "
import pathlib, sys
from $(package).ops.provenance import lock
print('\n'.join(lock.moves(sys.stdin.read(), pathlib.Path('poetry.lock').read_text())) or 'no version moved')"
}

# ask_poetry: end with what Poetry says is wrong, or record that nothing is.
ask_poetry() {
    need_python
    need_uv
    make_work
    local said wrong
    said=$(poetry check --lock 2>&1) || case $said in
    *"changed significantly"*) die "poetry.lock was not made from this pyproject.toml; run scripts/lock.sh" ;;
    *) cause "poetry check --lock" "$said" ;;
    esac
    mkdir "$work/requirements"
    QUIET=1 step "export" poetry_python "$exporter" . "$work/requirements"
    wrong=$(diff -rq -x lock.sha256 "$work/requirements" requirements 2>&1 | sed "s|$work/|fresh |g") ||
        die "requirements/ is not what poetry.lock gives: ${wrong//$'\n'/; }; run scripts/lock.sh"
    mv -f "$work/requirements/lock.sha256" requirements/
    echo "Poetry agrees with every file; commit requirements/lock.sha256"
}
if [ "$action" = check ] || [ "$action" = diff ]; then
    [ -x "$(cli)" ] || scripts/setup.sh --quiet
fi
case $action in
check)
    "$python" "$exporter" --recorded 2>/dev/null || ask_poetry
    "$(cli)" lock-check
    "$(cli)" docs --check
    exit
    ;;
diff)
    before=$(git show "$commit:./poetry.lock" 2>/dev/null) || die "there is no poetry.lock at '$commit'"
    show_moves <<<"$before"
    exit
    ;;
esac

hold lock
need_python
need_uv
make_work
touched=(pyproject.toml poetry.lock requirements docs/environment.md)
mkdir -p "$work/new/docs" "$work/new/requirements" "$work/old/docs"
for file in "${touched[@]}"; do
    [ ! -e "$file" ] || cp -R "$file" "$work/old/$file"
done
cp pyproject.toml .python-version "$work/new/"
[ ! -e poetry.lock ] || cp poetry.lock "$work/new/"

if [ "$action" = add ]; then
    step "add ${packages[*]}" poetry -C "$work/new" add --lock ${options[@]+"${options[@]}"} "${packages[@]}"
else
    step "resolve" poetry -C "$work/new" lock ${options[@]+"${options[@]}"}
fi
step "export" poetry_python "$exporter" "$work/new" "$work/new/requirements"

# From here on a failure or an interruption puts the old files back.
put_back() {
    rm -rf requirements
    cp -R "$work/old/." .
    rm -rf "$work"
}
trap put_back EXIT
mkdir -p requirements
for file in requirements/*.txt; do
    [ -e "$work/new/$file" ] || rm -f "$file"
done
# One rename a file: each is the old one or the new one, never half of it.
(cd "$work/new" && find pyproject.toml poetry.lock requirements -type f) | while read -r file; do
    mv -f "$work/new/$file" "$file"
done
step "install" scripts/setup.sh --quiet
step "docs/environment.md" "$(cli)" docs
trap 'rm -rf "$work"' EXIT
scripts/lock.sh --check >/dev/null
if [ -s "$work/old/poetry.lock" ]; then
    show_moves <"$work/old/poetry.lock"
fi
echo "Locked in $(took "$started") s; commit ${touched[*]}"
