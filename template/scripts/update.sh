#!/usr/bin/env bash
# Usage: scripts/update.sh [--to VERSION] [--data NAME=ANSWER]... [--no-tests]
#        scripts/update.sh --check | --status | --audit
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
#   --audit             only audit this project, with the checks of the version that it has
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
    --audit) action=audit ;;
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
[ -f .copier-answers.yml ] || die ".copier-answers.yml is missing, so there is no telling which template made this"
need_commit
hold update
work=''
trap '[ -d "$work/applying" ] || rm -rf "$work"' EXIT
# One that was stopped while it wrote is finished, by the code that began it; the rest is deleted.
for folder in "$ROOT"/var/update.??????; do
    if [ ! -d "$folder/applying" ]; then
        rm -rf "$folder"
    elif [ "$action" = update ]; then
        work=$folder
        step "finish the update that was stopped" sh "$work/finish" "$ROOT"
    fi
done

# fetch: one clone of the template, for its code and for both renders.
fetch() {
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
    cd "$work/code/src"
    copier_python -Es -m groundwork.update "$1" "$ROOT" "$work" "${@:2}"
}
# printed WHAT COMMAND…: what a command prints, warnings left out; say why WHAT failed if it did.
printed() { "${@:2}" 2>"$work/errors" || cause "$1" "$(cat "$work/errors")"; }

# update: merge the newer standard into the files here.
update() {
    local answers source old_version old_commit recorded newest new_version verdict
    [ "$action" != update ] || [ -z "$(git status --porcelain)" ] ||
        die "there are uncommitted changes; commit or stash them first"
    need_python
    need_uv
    work=$(mktemp -d "$ROOT/var/update.XXXXXX") || die "cannot write to $ROOT/var"
    answers=$(printed "read .copier-answers.yml" copier_python -Es -c 'import sys, yaml
answers = yaml.safe_load(open(".copier-answers.yml", encoding="utf-8"))
for key in "_src_path", "_commit":
    print(answers.get(key) or sys.exit(f"it has no {key}: this was made from a template without a version"))') || exit 1
    source=${answers%$'\n'*} old_version=${answers##*$'\n'}
    QUIET=1 step "fetch the template" fetch
    old_commit=$(git --git-dir="$work/template/clone" rev-parse --verify --quiet --end-of-options "$old_version^{commit}") ||
        die "the template has no version $old_version, which .copier-answers.yml names"
    recorded=$(sed -n 's/^# commit: //p' .copier-answers.yml)
    [ "${recorded:-$old_commit}" = "$old_commit" ] ||
        die "the template's $old_version is now commit $old_commit, and this project was made from $recorded: ask" \
            "the template's owners why; to accept that, delete the line with it in .copier-answers.yml and commit"
    QUIET=1 step "take the code that merges" take_code
    case $action in
    status) printed changes merge changes && exit ;;
    audit) UV=$UV printed "audit this project" merge audit && exit ;;
    esac
    newest=$(printed newer merge newer) || exit 1
    if [ "$action" = check ]; then
        [ -z "$newest" ] || die "a newer version of the template is out; run scripts/update.sh"
        echo "$old_version is the newest version of the template"
        exit
    fi
    [ -n "$to$newest" ] || [ ${#data[@]} -gt 0 ] || { echo "Already at $old_version" && exit; }
    new_version=${to:-${newest:-$old_version}}
    step "render the standard at $old_version" merge render old "$old_version"
    step "render it as it is now" merge render new "$new_version" ${data[@]+"${data[@]}"}
    verdict=$(printed merge merge merge) || exit 1
    [ "$verdict" != same ] || { echo "Already at $new_version" && exit; }
    cat "$work/broken" "$work/executed"
    if [ -t 0 ] && [ -s "$work/executed" ]; then
        read -r -p "Run them? [y/N] " && [[ $REPLY == [yY]* ]] || die "nothing was changed, and none of them was run"
    fi
    # In a copy of the result, so that this one changes only when all is done.
    [ "$verdict" != lock ] || step "lock this project's own packages" "$work/tree/scripts/lock.sh"
    step "change the files" merge apply
}

if [ ! -d "$work/applied" ]; then
    update
fi
echo
git --no-pager diff HEAD --stat | tail -n 1
sed "\$s/\$/ in $(took "$started") s/" "$work/summary"
[ ! -s "$work/decide" ] || die "$(cat "$work/decide")"
step "set up" scripts/setup.sh --quiet
scripts/lock.sh --check
if [ -n "$tests" ]; then
    scripts/test.sh || die "the tests fail after the update: mend what they say, or git reset --hard to go back"
fi
echo "Look at it with git diff HEAD, and commit"
