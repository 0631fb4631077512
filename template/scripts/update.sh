#!/usr/bin/env bash
# Usage: scripts/update.sh [--to VERSION] [--data NAME=ANSWER]... [--no-tests]
#        scripts/update.sh --check
#        scripts/update.sh --status
#
# Brings this project up to a newer version of the template that it was made from, or to other
# answers. Your edits, files and dependencies stay; the standard's packages get the versions it
# ships. The working tree has to be clean. It is changed at once, after all else is done, and the
# result is left uncommitted for you to look at. docs/ownership.yml tells whose file is which.
#
#   --to VERSION        a tag or branch of the template instead of its newest version
#   --data NAME=ANSWER  change an answer, such as scale=ray; with no newer version, that alone
#   --no-tests          do not run scripts/test.sh at the end
#   --check             only say whether there is a newer version; exit 1 if there is
#   --status            only say which of the standard's files were changed here
#
# Ends with exit 1 and a list where a person has to decide between two edits of the same lines.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

action=update tests=1 to='' data=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --check) action=check ;;
    --status) action=status ;;
    --no-tests) tests='' ;;
    --to)
        [ -n "${2:-}" ] || usage_error "--to needs a version"
        to=$2
        shift
        ;;
    --data)
        [[ ${2:-} == [a-z]*=* ]] || usage_error "--data needs NAME=ANSWER"
        data+=("$2")
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
need_commit
[ "$action" != update ] || [ -z "$(git status --porcelain)" ] ||
    die "there are uncommitted changes; commit or stash them first" \
        "(if an update was killed while it wrote, git reset --hard goes back to before it)"
need_python
need_uv

hold update
rm -rf var/update.??????
work=$(mktemp -d "$ROOT/var/update.XXXXXX") || die "cannot write to $ROOT/var"
trap 'rm -rf "$work"' EXIT

# fetch: one clone of the template, for its code and for both renders.
fetch() {
    local source
    source=$(answer _src_path)
    case $source in
    gh:*) source=https://github.com/${source#gh:} ;;
    gl:*) source=https://gitlab.com/${source#gl:} ;;
    git+*) source=${source#git+} ;;
    esac
    git clone --quiet --bare -- "$source" "$work/template/clone"
}
# take_code: the code that merges, as it is in the version that this project has taken already.
take_code() {
    mkdir "$work/code"
    git --git-dir="$work/template/clone" --work-tree="$work/code" \
        checkout --quiet "$old_commit" -- src/groundwork
}
# merge STEP ARGUMENT…: one of its steps; see src/groundwork/update/steps.py in the template.
merge() {
    local step=$1
    shift
    cd "$work/code/src"
    copier_python -Es -m groundwork.update "$step" "$ROOT" "$work" "$@"
}
# printed STEP ARGUMENT…: what one prints, warnings left out.
printed() { merge "$@" 2>"$work/errors" || cause "$1" "$(cat "$work/errors")"; }

QUIET=1 step "fetch the template" fetch
old_commit=$(git --git-dir="$work/template/clone" rev-parse --verify --quiet --end-of-options "$old_version^{commit}") ||
    die "the template has no version $old_version, which .copier-answers.yml names"
QUIET=1 step "take the code that merges" take_code
new_version=$to
if [ "$action" = check ] || { [ "$action" = update ] && [ -z "$to" ]; }; then
    newest=$(printed newer) || exit 1
    if [ "$action" = check ]; then
        [ -z "$newest" ] || die "a newer version of the template is out; run scripts/update.sh"
        echo "$old_version is the newest version of the template"
        exit
    fi
    [ -n "$newest" ] || [ ${#data[@]} -gt 0 ] || { echo "Already at $old_version" && exit; }
    new_version=${newest:-$old_version}
fi

step "render the standard at $old_version" merge render old "$old_version"
if [ "$action" = status ]; then
    changes=$(printed changes) || exit 1
    echo "On $old_version of the standard, with $(grep -c . <<<"$changes" || true) of its files changed here"
    sed -n 's/^./  &/p' <<<"$changes"
    exit
fi
step "render it as it is now" merge render new "$new_version" ${data[@]+"${data[@]}"}
verdict=$(printed merge) || exit 1
case $verdict in
same*)
    echo "Already at $new_version"
    exit
    ;;
esac
conflicts=$(paste -sd ' ' - <"$work/conflicts")
# With packages of its own: in a copy of the result, so that this one changes only when all is done.
if grep -qx pyproject.toml "$work/conflicts"; then
    todo="scripts/lock.sh and scripts/test.sh"
else
    todo=scripts/test.sh
    [ "${verdict##*$'\n'}" = resolved ] || step "lock this project's own packages" "$work/tree/scripts/lock.sh"
fi
step "change the files" merge apply

echo
git --no-pager diff HEAD --stat | tail -n 1
sed 's/^/  no longer the standard'"'"'s, kept as yours: /' "$work/kept"
echo "Updated from $old_version to $new_version in $(took "$started") s"
[ -z "$conflicts" ] || die "decide between the two edits in: $conflicts; then git add them and run $todo"
step "set up" scripts/setup.sh --quiet
scripts/lock.sh --check
if [ -n "$tests" ]; then
    scripts/test.sh || die "the tests fail after the update: mend what they say, or git reset --hard to go back"
fi
echo "Look at it with git diff HEAD, and commit"
