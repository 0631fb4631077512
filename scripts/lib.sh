# shellcheck shell=bash
# What new.sh and test.sh share, on top of what the scripts of every project share. Source it.

# shellcheck source=template/scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../template/scripts/lib.sh"
ROOT=${ROOT%/template} VENV=${ROOT%/template}/.venv

trap 'stop_clock; printf "\nerror: interrupted; run the same command again to finish\n" >&2; exit 130' INT TERM
command -v git >/dev/null || die "git is not installed; every project is a git repository"

# show WHAT START: a step and the seconds since it started.
show() { printf '  %-36s %6s s' "$1" "$(took "$2")"; }

# start_clock WHAT START: name a step that starts; on a terminal, count its seconds until stop_clock.
clock=''
start_clock() {
    [ -z "${QUIET:-}" ] || return 0
    [ -t 1 ] || { printf '  %s …\n' "$1" && return; }
    show "$@"
    # It ends with this script as well, however that ends.
    { while sleep 1 && kill -0 $$ 2>/dev/null; do printf '\r' && show "$@"; done; } &
    clock=$!
}

# stop_clock [END]: stop counting; the next line replaces the clock's, or follows it with END '\n'.
stop_clock() {
    [ -n "$clock" ] || return 0
    kill "$clock" 2>/dev/null || true
    wait "$clock" 2>/dev/null || true
    clock=''
    printf '%b' "${1:-\\r}"
}

# step WHAT COMMAND…: as in a project, and shown from its start.
step() {
    local what=$1 start out
    shift
    start=$(now)
    start_clock "$what" "$start"
    out=$("$@" 2>&1) || { stop_clock '\n' && cause "$what" "$out"; }
    stop_clock
    say "$(show "$what" "$start")"
}

# choose_python: set `python` and `version` to the newest supported one on this machine.
choose_python() {
    for version in 3.13 3.12 3.11; do
        python=$(find_python "$version") && return
    done
    die "no Python 3.11, 3.12 or 3.13 was found on PATH, under pyenv, or among uv's; install one," \
        "for example with 'apt-get install python3 python3-venv' or 'uv python install 3.13'"
}

# choose_uv: set `UV`, and put it on PATH for the scripts that this one calls.
choose_uv() {
    find_uv || { step "fetch uv" bootstrap_uv "$python" && UV=$UV_KEPT; }
    PATH=$PATH:${UV%/*}
}

# prepare REQUIREMENTS…: put these into .venv, which is made first where there is none that works.
# `step` runs it in a subshell, with which its lock ends: two runs may share this checkout.
prepare() {
    cd "$ROOT" # uv reads the settings of the folder that it runs in
    hold environment
    python_of "$VENV/bin/python" >/dev/null ||
        "$UV" venv --quiet --clear --python "$python" "$VENV" || return
    local install=("$UV" pip install --quiet --python "$VENV/bin/python" --require-hashes) file
    for file; do install+=(-r "$ROOT/requirements/$file.txt"); done
    # The cache first: it spares the questions to the index, and needs no network.
    "${install[@]}" --offline 2>/dev/null || "${install[@]}"
}
