# shellcheck shell=bash
# What the scripts beside this file share. Source it, never run it.
set -euo pipefail
# What a hook of git or a user may have set, and what would lead these scripts to another repository,
# folder, environment or choice of packages; with the last one, every process compiles thousands of
# modules again.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_PREFIX GIT_NAMESPACE \
    GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_QUARANTINE_PATH \
    CDPATH VIRTUAL_ENV PYTHONPATH PYTHONHOME UV_SYSTEM_PYTHON UV_PROJECT UV_PROJECT_ENVIRONMENT \
    UV_WORKING_DIR UV_EXCLUDE_NEWER UV_REQUIRE_HASHES UV_NO_VERIFY_HASHES UV_TORCH_BACKEND \
    PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv

# What is fetched once for all projects of a user; without a home, for this one alone.
CACHE=${XDG_CACHE_HOME:-${HOME:-$ROOT/var}/.cache}/groundwork

# die MESSAGE: one line on stderr, exit 1.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# usage_error MESSAGE: one line on stderr, exit 2.
usage_error() {
    printf 'error: %s; see %s --help\n' "$*" "${0##*/}" >&2
    exit 2
}

# help: the comment at the top of the running script.
help() {
    sed -n '2,/^$/{s/^# \{0,1\}//;p;}' "$0"
    exit 0
}

# now: milliseconds since the epoch (whole seconds where bash is older than 5).
now() {
    local at=${EPOCHREALTIME:-$(date +%s).000000}
    echo $((${at/[^0-9]/} / 1000))
}

# took START: the seconds since START, such as 1.3.
took() {
    local ms=$(($(now) - $1))
    printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# sha256 FILE…: one digest over the files' contents.
sha256() {
    local tool=(sha256sum)
    command -v sha256sum >/dev/null || tool=(shasum -a 256)
    cat "$@" | "${tool[@]}" | cut -d ' ' -f 1
}

# cause WHAT OUTPUT: end with one line that says why WHAT failed, read from the tool's OUTPUT.
cause() {
    case $2 in
    *"No space left on device"* | *"os error 28"*) die "$1: the disk is full; free some space and run this again" ;;
    *"Read-only file system"* | *"os error 30"*) die "$1: the file system is read-only; run this on one that can be written" ;;
    *"ermission denied"* | *"os error 13"*) die "$1: not allowed to write there; check who owns $ROOT and the cache" ;;
    *"repository "*" does not exist"* | *"does not appear to be a git repo"* | *"nable to access"* | *"not read from remote"*)
        die "$1: the template cannot be reached; is _src_path in .copier-answers.yml where it is?"
        ;;
    *"error sending request"* | *"dns error"* | *"name resolution"* | *"NewConnectionError"* | \
        *"network connectivity is disabled"* | *"onnection refused"* | *"ConnectError"*)
        die "$1: a package is not in the cache and the package index cannot be reached"
        ;;
    *"MATCH THE HASHES"* | *"Hash mismatch"*) die "$1: a package from the index does not have the hash that the lock names; nothing was installed" ;;
    *"not a git repository"* | *"a single revision"*) die "$1: there is no commit here; run git init, git add and git commit first" ;;
    *"dubious ownership"*)
        die "$1: this checkout belongs to another user, so git does not read it; become its owner," \
            "or run git config --global --add safe.directory '$ROOT'"
        ;;
    *"version solving failed"*) # names the packages, and who asks for which version
        die "$1: no versions fit together. $(sed -n '/[Bb]ecause/,$p' <<<"$2" | tr -s ' \n' ' ')" ;;
    *) die "$1: $(grep -v -e '^[[:space:]]*$' -e '^hint:' <<<"$2" | tail -n 1 | sed 's/^[[:space:]]*//')" ;;
    esac
}

# need_commit: end with the reason where git has no commit here.
need_commit() {
    local said
    said=$(git rev-parse --verify HEAD 2>&1) || cause git "$said"
}

# step WHAT COMMAND…: run it quietly and say how long it took; say why it failed if it did.
step() {
    local what=$1 start out
    shift
    start=$(now)
    out=$("$@" 2>&1) || cause "$what" "$out"
    say "$(printf '  %-36s %6s s' "$what" "$(took "$start")")"
}

# say MESSAGE: print it, unless QUIET is set.
say() { [ -n "${QUIET:-}" ] || printf '%s\n' "$*"; }

# package: the name of the project's Python package, which has the standard's ops.
package() {
    local ops
    for ops in "$ROOT"/src/*/ops; do
        [ -f "$ops/SHA256SUMS" ] && basename "$(dirname "$ops")" && return
    done
    die "no package with an ops folder in $ROOT/src"
}

# groups: the optional groups that [tool.groundwork] says are installed, one a line.
groups() {
    local line
    line=$(sed -n '/^\[tool\.groundwork\]/,/^\[/s/^groups *= *//p' "$ROOT/pyproject.toml" 2>/dev/null) ||
        die "pyproject.toml is missing or cannot be read; git checkout brings it back"
    case $line in
    '' | \[*\]*) grep -o '[[:alnum:]._-]\{1,\}' <<<"${line%%]*}" || true ;;
    *) die "pyproject.toml: [tool.groundwork] must list groups on one line, as in [\"ray\", \"wandb\"]" ;;
    esac
}

# cli: the path of the project's command line, which setup.sh installed.
cli() { printf '%s/bin/%s' "$VENV" "$(package | tr _ -)"; }

# python_of PATH: the interpreter's X.Y, or nothing if it does not run.
python_of() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# python_candidates X.Y: every place where such an interpreter may be, one a line, best first.
python_candidates() {
    local name folder
    for name in "python$1" python3 python; do
        # A shim of pyenv fails unless that version is the active one; its real paths follow.
        type -aP "$name" | grep -v '/\.pyenv/shims/' || true
    done
    for folder in "${PYENV_ROOT:-}" "${HOME:-/nonexistent}/.pyenv" \
        "$(command -v pyenv >/dev/null && pyenv root 2>/dev/null)"; do
        [ -d "$folder/versions" ] || continue
        find "$folder/versions" -mindepth 1 -maxdepth 1 -name "$1*" | sort -rV | sed "s|\$|/bin/python|"
    done
    if command -v uv >/dev/null; then
        uv python find "$1" 2>/dev/null || true
    fi
    find "${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/uv/python" -path "*-$1*/bin/python$1" \
        2>/dev/null || true
}

# find_python X.Y: the path of an interpreter that runs and is that version, or fail.
find_python() {
    local candidate
    while IFS= read -r candidate; do
        if [ -x "$candidate" ] && [ "$(python_of "$candidate")" = "$1" ]; then
            printf '%s\n' "$candidate"
            return
        fi
    done < <(python_candidates "$1")
    return 1
}

# find_uv: set UV to a uv that runs: the one on PATH, else one that bootstrap_uv kept; or fail.
find_uv() {
    local kept=$CACHE/uv version
    version=$(sed -n 's/^uv==\([^ ;]*\).*/\1/p' "$ROOT/requirements/dev.txt" 2>/dev/null) || true
    UV_KEPT=$kept/${version:-none}/uv
    # Any that was kept will do where the export that names the version is being mended.
    for UV in "$(command -v uv || true)" "$UV_KEPT" "$kept"/*/uv; do
        [ -n "$UV" ] && "$UV" --version >/dev/null 2>&1 && return
    done
    [ -n "$version" ] || die "requirements/dev.txt does not pin uv; git checkout brings it back"
    return 1
}

# bootstrap_uv PYTHON: fetch the uv that the lock names, checked by its hash, into the cache.
bootstrap_uv() {
    local python=$1 folder=${UV_KEPT%/*}
    mkdir -p "$folder"
    scratch=$(mktemp -d "$folder/.new.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    awk '/^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' "$ROOT/requirements/dev.txt" \
        >"$scratch/uv.txt"
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv "$scratch/venv" || return
        python=$scratch/venv/bin/python
    fi
    PIP_REQUIRE_VIRTUALENV=0 PIP_USER=0 "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --target "$scratch/lib" -r "$scratch/uv.txt" || return
    # A rename: another process sees the whole of uv or none of it.
    mv -f "$scratch/lib/bin/uv" "$UV_KEPT"
}

# need_python: set PYTHON to an interpreter of the project's version, or end saying how to get one.
need_python() {
    local want allowed
    [ -r "$ROOT/.python-version" ] ||
        die "$ROOT/.python-version is missing; write a version such as 3.12 into it"
    want=$(head -n 1 "$ROOT/.python-version")
    allowed=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)".*/\1 \2/p' "$ROOT/pyproject.toml")
    allowed=${allowed:-0 99}
    [[ $want =~ ^3\.([0-9]+)$ ]] && [ "${BASH_REMATCH[1]}" -ge "${allowed% *}" ] &&
        [ "${BASH_REMATCH[1]}" -lt "${allowed#* }" ] ||
        die ".python-version says '$want', but the packages are locked for Python 3.${allowed% *} to" \
            "3.$((${allowed#* } - 1)); write one of those into it"
    if [ -n "${PYTHON:-}" ]; then
        [ "$(python_of "$PYTHON")" = "$want" ] ||
            die "PYTHON=$PYTHON is not Python $want, which .python-version asks for"
    elif ! PYTHON=$(find_python "$want"); then
        die "Python $want (.python-version) was not found on PATH, under pyenv, or among uv's:" \
            "get it with 'uv python install $want' or 'pyenv install $want', name one with" \
            "PYTHON=/path/to/python, or write a version you have (3.11, 3.12, 3.13) into .python-version"
    fi
}

# need_uv: set UV, fetching the locked version where there is none (which needs PYTHON).
need_uv() {
    find_uv && return
    need_python
    step "fetch uv" bootstrap_uv "$PYTHON"
    UV=$UV_KEPT
}

# sync PYTHON REQUIREMENTS…: install these and no others. The cache first: it spares a second of questions
# to the index, and needs no network. uv reads the settings of the folder that it runs in.
sync() {
    cd "$ROOT"
    "$UV" pip sync --quiet --offline --python "$@" 2>/dev/null || "$UV" pip sync --quiet --python "$@"
}

# make_tools FOLDER: an environment with what scripts/tools.txt names, each file checked by its hash.
make_tools() {
    local new=$1.$$
    "$UV" venv --quiet --clear --python "$PYTHON" "$new" || return
    sync "$new" --require-hashes scripts/tools.txt || { rm -rf "$new" && return 1; }
    rm -rf "$1" && mv "$new" "$1" # a rename: another process sees the whole of it or none
}

# tools_python ARGUMENT…: the Python that can import Poetry and Copier, which have an environment of their
# own in the cache, so that they cannot get in the way of the project's packages.
tools_python() {
    local folder
    folder=$CACHE/tools/$(python_of "$PYTHON")-$(sha256 "$ROOT/scripts/tools.txt")
    python_of "$folder/bin/python" >/dev/null || (make_tools "$folder") || return
    "$folder/bin/python" "$@"
}

# poetry ARGUMENT…: the locked Poetry, and the Python that can import it. The seed makes it write equal
# markers in one way, not in either of two.
poetry() { poetry_python -m poetry --no-interaction "$@"; }
poetry_python() { POETRY_VIRTUALENVS_CREATE=false PYTHONHASHSEED=0 tools_python "$@"; }

# copier_python ARGUMENT…: a Python that can import the locked Copier, or the one that COPIER_VERSION names.
copier_python() {
    if [ -z "${COPIER_VERSION:-}" ]; then tools_python "$@"; else
        "$UV" tool run --quiet --python "$PYTHON" --from "copier==$COPIER_VERSION" python "$@"
    fi
}

# hold NAME: wait for and keep a lock until this process and its children have ended.
hold() {
    { (umask 077 && mkdir -p "$ROOT/var") && : >>"$ROOT/var/$1.lock"; } 2>/dev/null ||
        die "cannot write to $ROOT (read-only, full, or owned by someone else)"
    command -v flock >/dev/null || return 0
    exec 9>>"$ROOT/var/$1.lock"
    flock -n 9 || { echo "  wait for another $1 here" >&2 && flock 9; }
}
