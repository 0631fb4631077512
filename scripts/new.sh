#!/usr/bin/env bash
# Usage: scripts/new.sh DEST [-- COPIER-OPTION…]
#
# Makes a project in DEST and proves it: renders the template, sets the project up, runs its tests,
# trains, trains the same commit again elsewhere and compares bit for bit. Needs git and
# Python 3.11, 3.12 or 3.13; nothing else. Interrupted, run the same command again: it goes on.
#
#   COPIER-OPTION…   passed to `copier copy`, for example --data project_name='Churn'
#
# Every question not answered there takes its default. The project is named after DEST's last part, and
# gets the newest supported Python found on PATH, under pyenv, or among uv's.
# Writes to DEST, to .venv here, and to the caches of uv, pip and Groundwork; nowhere else.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dest=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --) shift && break ;;
    -*) usage_error "unknown option '$1'; options for copier come after --" ;;
    *)
        [ -z "$dest" ] || usage_error "one DEST, not '$dest' and '$1'"
        dest=$1
        ;;
    esac
    shift
done
[ -n "$dest" ] || usage_error "DEST is missing"
options=("$@")
while [[ $dest == ?*/ ]]; do dest=${dest%/}; done
case $dest in /*) ;; *) dest=$PWD/$dest ;; esac
[ ! -d "$dest" ] || dest=$(cd "$dest" && pwd) # `.` has no name
[ ! -d "${dest%/*}" ] || dest=$(cd "${dest%/*}/" && pwd)/${dest##*/}

# Until all is done, the marker says that DEST is ours to finish, and what it is to become. Beside it
# stand the steps that are done and all that they printed.
state=$dest/.git/groundwork-new
marker=$state/options log=$state/log steps=$state/done
wanted=$(printf '%q ' "$@")

# only_git: whether DEST holds nothing but git's folder, or does not exist.
only_git() { [ -z "$(find "$dest" -mindepth 1 -maxdepth 1 ! -name .git -print -quit 2>/dev/null)" ]; }

# claim: make DEST, or find that an interrupted run of this script made it.
claim() {
    local out
    [ ! -e "$dest" ] || [ -d "$dest" ] || die "$dest is a file; choose a folder"
    if [ -f "$marker" ]; then
        [ "$(cat "$marker")" = "$wanted" ] || only_git ||
            die "$dest was begun with other options: $(cat "$marker"); give those, or remove it"
        say "Going on with $dest"
    else
        # An interruption before the marker was written leaves a .git that is no repository yet.
        only_git && [ ! -f "$dest/.git/HEAD" ] ||
            die "$dest is not empty; choose another folder, or remove it"
        say "Making $dest"
    fi
    out=$({ mkdir -p "$state" && printf '%s\n' "$wanted" >"$marker.part" &&
        mv -f "$marker.part" "$marker"; } 2>&1) || cause "make $dest" "$out"
}

# given NAME: whether the options for copier have one that matches the pattern NAME.
given() {
    local option
    for option in ${options[@]+"${options[@]}"}; do
        # shellcheck disable=SC2053
        [[ $option == $1 ]] && return
    done
    return 1
}

# Copier asks nothing and reads the checkout as it stands, not its newest tag.
render() {
    local arguments=(--defaults --overwrite --quiet)
    given '--vcs-ref*' || given '-r*' || arguments+=(--vcs-ref HEAD)
    given '*project_name*' || given '--data-file*' || arguments+=(--data "project_name=${dest##*/}")
    given '*python_version*' || given '--data-file*' || arguments+=(--data "python_version=$version")
    "$VENV/bin/python" -W ignore -m copier copy "${arguments[@]}" ${options[@]+"${options[@]}"} \
        "$ROOT" "$dest"
}

# The first commit. Where git does not know who you are, it is signed by the template, and only it.
commit() {
    local who=()
    git -C "$dest" config user.email >/dev/null ||
        who=(-c user.name=Groundwork -c user.email=groundwork@localhost)
    git -C "$dest" add --all &&
        git -C "$dest" ${who[@]+"${who[@]}"} -c commit.gpgsign=false commit --quiet \
            --message "Start from Groundwork"
}

# proven WHAT COMMAND…: like step, but done once only, and all of its output goes to the log.
proven() {
    local what=$1 start
    shift
    ! grep -qxF -- "$what" "$steps" 2>/dev/null || return 0
    start=$(now)
    printf '\n== %s ==\n' "$what" >>"$log"
    start_clock "$what" "$start"
    "$@" >>"$log" 2>&1 </dev/null || {
        stop_clock '\n'
        die "$what failed: $(grep -v '^[[:space:]]*$' "$log" | tail -n 1 | sed 's/^error: //');" \
            "all of it is in $log"
    }
    stop_clock
    printf '%s\n' "$what" >>"$steps"
    say "$(show "$what" "$start")"
}

started=$(now)
claim
choose_python
choose_uv
step "prepare the template" prepare main
if ! git --git-dir "$dest/.git" rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
    [ -z "$(git -C "$ROOT" status --porcelain 2>/dev/null)" ] ||
        say "  note: the template has uncommitted changes; the project gets them, but updates cannot know them"
    # What a killed git left behind: nobody else works in this repository yet.
    rm -f "$dest"/.git/{config,index,HEAD,refs/heads/main}.lock
    step "start the repository" git init --quiet --initial-branch main "$dest"
    step "render" render
    step "commit" commit
fi

# From here on the project's own scripts do the work, as they will for everybody. ROOT and VENV are
# what lib.sh finds the project's command line by.
ROOT=$dest VENV=$dest/.venv
step "scripts/setup.sh" "$dest/scripts/setup.sh"
proven "scripts/test.sh" "$dest/scripts/test.sh"
proven "prepare" "$(cli)" prepare
proven "train" "$(cli)" train
proven "reproduce" "$(cli)" reproduce
told=$(grep -E '^(registered|digest|reproduced): ' "$log" | tail -n 3)
rm -rf "$state"

name=$(basename "$(cli)")
say "Done in $(took "$started") s"
printf '  %s\n' "${told//$'\n'/$'\n'  }"
cat <<END
Next, in $dest:
  README.md                    what is here, and the first five minutes
  .venv/bin/$name ui           the run that was made, in MLflow
  .venv/bin/$name promote      make its model the champion; --help lists all commands
  src/$(package)/{data,schema,features,model}.py, params.yaml
                               make them yours, then scripts/test.sh, .venv/bin/$name train
END
