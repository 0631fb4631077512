#!/usr/bin/env bash
# Usage: scripts/setup.sh [--force] [--quiet]
#
# Makes .venv from requirements/*.txt (main, train, dev, and the groups that pyproject.toml names under
# [tool.groundwork]), every package checked by its hash, and installs this project into it. Run it
# as often as you like: it does only what is missing. Interrupted, run it again.
#
#   --force    rebuild the environment even if it is current
#   --quiet    say nothing unless something fails
#
# The Python is the version in .python-version, looked for on PATH, under pyenv, and among uv's.
# PYTHON=/path/to/python chooses the interpreter yourself. uv is taken from PATH; without one, the
# locked version is fetched once into ~/.cache/groundwork.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

force='' QUIET=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --force) force=1 ;;
    --quiet) QUIET=1 ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done

started=$(now)
want=$(head -n 1 "$ROOT/.python-version" 2>/dev/null) || want='?'
optional=$(groups)
requirements=("$ROOT"/requirements/{main,train,dev}.txt)
for group in $optional; do requirements+=("$ROOT/requirements/$group.txt"); done
for file in "${requirements[@]}"; do
    [ -s "$file" ] || die "${file#"$ROOT"/} is missing or empty; scripts/lock.sh writes it"
done

sync_packages() { sync "$VENV/bin/python" --require-hashes "${requirements[@]}"; }

# The project itself is a requirement as well, so one command tells whether all is as it should be.
sync_project() {
    echo '-e .' >"$VENV/.project.txt"
    sync "$VENV/bin/python" --no-build-isolation "${requirements[@]}" "$VENV/.project.txt"
}

say "Setting up $ROOT"
hold setup
need_uv

# .ready is written last. Without it nothing in .venv is trusted, and it is rebuilt; so it is where
# the project was copied or moved: its programs name the folder that they were made in.
ready=$VENV/.ready
wanted="$VENV"$'\n'"$want $(sha256 "${requirements[@]}" "$ROOT/pyproject.toml")"
[ -z "$force" ] && [ -f "$ready" ] && [ "$(head -n 1 "$ready")" = "$VENV" ] &&
    [ "$(python_of "$VENV/bin/python")" = "$want" ] || {
    need_python
    rm -f "$ready" 2>/dev/null || cause "clean .venv" "Read-only file system"
    step "create .venv" "$UV" venv --quiet --clear --python "$PYTHON" "$VENV"
}
if [ ! -f "$ready" ] || [ "$(cat "$ready")" != "$wanted" ]; then
    rm -f "$ready"
    step "install packages" sync_packages
    step "install the project" sync_project
    printf '%s\n' "$wanted" >"$ready.new" && mv -f "$ready.new" "$ready"
    printf '{"action": "setup", "time": "%s", "seconds": %s}\n' "$(date -u +%FT%TZ)" "$(took "$started")" >>"$ROOT/var/events.jsonl"
else
    step "check what is installed" sync_project
fi

say "Ready in $(took "$started") s: Python $("$VENV/bin/python" -c 'import platform; print(platform.python_version())')," \
    ".venv/bin/${VENV:+$(basename "$(cli)")} is the command line"
