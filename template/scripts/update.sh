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
#   --data NAME=ANSWER  answer a question anew, such as scale=ray; with no newer version, that alone
#   --no-tests          do not run scripts/test.sh at the end
#   --check             only say whether there is a newer version; exit 1 if there is
#   --status            only say which of the standard's files were changed here
#
# Ends with exit 1 and a list where a person has to decide between two edits of the same lines.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

action=update tests=1 to=() data=() asked=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --check) action=check ;;
    --status) action=status ;;
    --no-tests) tests='' ;;
    --to)
        [ -n "${2:-}" ] || usage_error "--to needs a version"
        to=(--vcs-ref "$2")
        shift
        ;;
    --data)
        [[ ${2:-} == [a-z]*=* ]] || usage_error "--data needs NAME=ANSWER"
        data+=(--data "$2") asked+=("${2%%=*}")
        shift
        ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done

cd "$ROOT"
started=$(now)
# answer NAME [FOLDER]: what .copier-answers.yml holds under it.
answer() { sed -n "s/^$1: *//p" "${2:-.}/.copier-answers.yml" | tr -d "'\""; }

[ -f .copier-answers.yml ] || die ".copier-answers.yml is missing, so there is no telling which template made this"
old_version=$(answer _commit)
[ -n "$old_version" ] || die ".copier-answers.yml has no _commit: this was made from a template without a version"
git rev-parse --verify --quiet HEAD >/dev/null 2>&1 || die "an update needs a git repository with a commit"
need_python
need_uv

newer=''
if [ "$action" = check ] || { [ "$action" = update ] && [ ${#to[@]} -eq 0 ]; }; then
    out=$(copier check-update --output-format json 2>&1) || cause "look for a newer version" "$out"
    [[ $out != *'"update_available": true'* ]] || newer=1
fi
if [ "$action" = check ]; then
    [ -z "$newer" ] || die "a newer version of the template is out; run scripts/update.sh"
    echo "$old_version is the newest version of the template"
    exit
fi
if [ "$action" = update ]; then
    [ -z "$(git status --porcelain)" ] || die "there are uncommitted changes; commit or stash them first" \
        "(if an update was killed while it wrote, git reset --hard goes back to before it)"
    if [ -z "$newer" ] && [ ${#to[@]} -eq 0 ]; then
        [ ${#data[@]} -gt 0 ] || { echo "Already at $old_version" && exit; }
        to=(--vcs-ref "$old_version")
    fi
fi

hold update
rm -rf var/update.??????
work=$(mktemp -d "$ROOT/var/update.XXXXXX") || die "cannot write to $ROOT/var"
trap 'rm -rf "$work"' EXIT

# render FOLDER OPTION...: the standard with this project's answers.
render() {
    mkdir "$work/$1"
    cp .copier-answers.yml "$work/$1/"
    copier recopy --defaults --overwrite --quiet "${@:2}" "$work/$1"
}
# merge ARGUMENT...: git's merge of what the template changed into this project.
merge() { "$PYTHON" -I scripts/merge.py "$@"; }

step "render the standard at $old_version" render old --vcs-ref "$old_version"
if [ "$action" = status ]; then
    merge drift "$work/old" >"$work/drift"
    echo "On $old_version of the standard, with $(wc -l <"$work/drift" | tr -d ' ') of its files changed here"
    sed 's/^/  /' "$work/drift"
    exit
fi
step "render it as it is now" render new ${to[@]+"${to[@]}"} ${data[@]+"${data[@]}"}
new_version=$(answer _commit "$work/new")
for name in ${asked[@]+"${asked[@]}"}; do
    grep -q "^$name:" "$work/new/.copier-answers.yml" || die "the template asks this project no '$name'"
done
verdict=$(merge merge "$work") || exit 1
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
step "change the files" merge apply "$work"

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
