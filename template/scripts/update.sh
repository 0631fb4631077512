#!/usr/bin/env bash
# Usage: scripts/update.sh [--to VERSION]
#        scripts/update.sh --check
#
# Brings this project up to a newer version of the template that it was made from. Your edits, your
# answers and your own dependencies stay; the standard's packages get the versions it ships. The
# working tree has to be clean, and the result is left uncommitted for you to look at.
#
#   --to VERSION  a tag or branch of the template instead of its newest version
#   --check       only say whether there is a newer version; exit 1 if there is
#
# Ends with exit 1 and a list where a person has to decide between two edits of the same lines.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

check='' to=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --check) check=1 ;;
    --to)
        [ -n "${2:-}" ] || usage_error "--to needs a version"
        to=(--vcs-ref "$2")
        shift
        ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done

cd "$ROOT"
started=$(now)
# answer NAME: what .copier-answers.yml holds under it.
answer() { sed -n "s/^$1: *//p" .copier-answers.yml | tr -d "'\""; }

[ -f .copier-answers.yml ] || die ".copier-answers.yml is missing, so there is no telling which template made this"
old_version=$(answer _commit)
[ -n "$old_version" ] || die ".copier-answers.yml has no _commit: this was made from a template without a version"
need_python
need_uv
if [ -n "$check" ]; then
    verdict=0
    out=$(copier check-update 2>&1) || die "look for a newer version: $(tail -n 1 <<<"$out")"
    copier check-update --quiet >/dev/null 2>&1 || verdict=$?
    [ "$verdict" -ne 2 ] || die "a newer version of the template is out; run scripts/update.sh"
    echo "$old_version is the newest version of the template"
    exit
fi

git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || die "an update needs a git repository with a commit"
if [ -n "$(git status --porcelain)" ]; then
    [ -z "$(find var -maxdepth 1 -name 'update.??????' 2>/dev/null)" ] ||
        die "an update was killed half-way: git reset --hard and git clean -fd take you back before it"
    die "there are uncommitted changes; commit or stash them first"
fi
hold update
rm -rf var/update.??????
work=$(mktemp -d "$ROOT/var/update.XXXXXX") || die "cannot write to $ROOT/var"
cp -R pyproject.toml poetry.lock "$work/"

# The tree was clean, so going back to the last commit loses nothing.
go_back() {
    rm -rf "$work"
    git reset --quiet --hard HEAD
    git clean --quiet --force -d
}
trap go_back EXIT

step "update the files" copier update --defaults --conflict inline ${to[@]+"${to[@]}"} .
new_version=$(answer _commit)
if [ -z "$(git status --porcelain)" ]; then
    echo "Already at $new_version"
    exit
fi

# The standard's lock at the new version, as a fresh project with the same answers has it.
fresh() {
    grep -v '^_' .copier-answers.yml >"$work/answers.yml"
    copier copy --defaults --data-file "$work/answers.yml" --vcs-ref "$new_version" \
        "$(answer _src_path)" "$work/fresh"
}

# unmerged: the files in which two edits collide.
unmerged() { git diff --name-only --diff-filter=U --relative; }

# The standard's packages as the new version has them, and those that only this project has.
merge_locks() {
    "$PYTHON" - "$work/poetry.lock" "$work/fresh/poetry.lock" poetry.lock <<'PYTHON'
import re
import sys
from pathlib import Path

old, fresh, target = map(Path, sys.argv[1:])

def blocks(text):
    packages, tail = re.split(r"(?m)^(?=\[(?:extras|metadata)\])", text, maxsplit=1)
    head, *found = re.split(r"(?m)^(?=\[\[package\]\])", packages)
    return head, {re.search(r'name = "(.+)"', block)[1]: block for block in found}, found, tail

_, ours, _, _ = blocks(old.read_text(encoding="utf-8"))
head, standard, found, tail = blocks(fresh.read_text(encoding="utf-8"))
mine = [block for name, block in ours.items() if name not in standard]
target.write_text("".join([head, *found, *mine, tail]), encoding="utf-8")
PYTHON
}

generated=(poetry.lock requirements docs/environment.md)
if unmerged | grep -qx pyproject.toml; then
    echo "  pyproject.toml needs a decision first; then run scripts/lock.sh"
else
    step "render the standard afresh" fresh
    if cmp -s pyproject.toml "$work/fresh/pyproject.toml"; then
        # Nothing of its own: lock and exports are the standard's.
        for file in "${generated[@]}"; do
            rm -rf "$file"
            cp -R "$work/fresh/$file" "$file"
        done
        git reset --quiet -- "${generated[@]}"
    else
        merge_locks
        git reset --quiet -- "${generated[@]}"
        # The exports may hold conflict markers, with which nothing can be installed.
        rm -rf requirements
        cp -R "$work/fresh/requirements" requirements
        step "lock this project's own packages" scripts/lock.sh
    fi
fi

conflicts=$(unmerged)
trap 'rm -rf "$work"' EXIT
echo
git --no-pager diff HEAD --stat | tail -n 1
echo "Updated from $old_version to $new_version in $(took "$started") s"
if [ -n "$conflicts" ]; then
    die "decide between the two edits in: $(paste -sd ' ' - <<<"$conflicts"); then run scripts/test.sh"
fi
step "set up" scripts/setup.sh --quiet
scripts/lock.sh --check
echo "Look at it with git diff, run scripts/test.sh, and commit"
