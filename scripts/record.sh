#!/usr/bin/env bash
# Usage: scripts/record.sh [--tune] FRAMEWORK…
#        scripts/record.sh --into DEST FRAMEWORK
#
# Runs a framework's example for real and keeps what it gives: the hashes of its data, the metrics and
# the speed in frameworks/FRAMEWORK, the executed notebook in examples/. For a new framework, and after
# a lock has moved what a model gives. Look at the difference before you commit it.
#
#   --tune       search for the parameters again, too (minutes for a network)
#   --into DEST  keep nothing: make the project in DEST, or bring it up to date, and set it up there,
#                to try the framework's files while you write them

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
tune='' into=''
case ${1:-} in
-h | --help) help ;;
--tune) tune=1 && shift ;;
--into)
    [ $# -eq 3 ] || usage_error "--into takes DEST and one framework"
    case $2 in /*) into=$2 ;; *) into=$OLDPWD/$2 ;; esac
    shift 2
    ;;
esac
[ $# -gt 0 ] || usage_error "name a framework"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ML_DEVICE=cpu ML_WORKERS=1
for framework in "$@"; do
    home=frameworks/$framework
    [ -d "$home" ] || die "there is no $home"
    project=${into:-$work/$framework}
    example=$(sed -n 's/^name: //p' "$home/example.yml")
    notebook=examples/$example/explore-$(sed -n 's/^label: //p' "$home/example.yml").ipynb
    # What a render includes has to exist, if only empty, before it can be made.
    for name in data/manifest.json tuning.json benchmark.json tests/baseline.json environment.md.jinja; do
        mkdir -p "$(dirname "$home/$name")"
        [ -e "$home/$name" ] || echo '{}' >"$home/$name"
    done
    .venv/bin/python - "$project" "$framework" <<'PYTHON'
import sys
from pathlib import Path

from groundwork import template
from groundwork.errors import UserError

try:
    template.render(Path.cwd(), Path(sys.argv[1]), framework=sys.argv[2])
except UserError as error:
    sys.exit(f"error: {error}")
PYTHON
    "$project/scripts/setup.sh" --quiet
    cli=$project/.venv/bin/my-ml-project
    keep() {
        git -C "$project" init --quiet
        git -C "$project" add --all
        git -C "$project" -c user.name=record -c user.email=record@localhost \
            commit --quiet --allow-empty --message "$1"
    }
    # A manifest that was never made cannot be compared with.
    grep -q source "$project/data/manifest.json" || rm "$project/data/manifest.json"
    (cd "$project" && "$cli" prepare --accept)
    cp "$project/data/manifest.json" "$home/data/manifest.json"
    keep "Data and parameters"
    [ -z "$into" ] || { echo "made $into" && exit; }
    if [ -n "$tune" ]; then
        (cd "$project" && "$cli" tune)
        cp "$project/tuning.json" "$home/tuning.json"
        keep "Search"
    fi
    (cd "$project" && "$cli" train && "$cli" promote && "$cli" evaluate --record && "$cli" bench --record)
    "$project/.venv/bin/jupyter" execute --inplace "$project/notebooks/explore.ipynb"
    cp "$project/benchmark.json" "$home/benchmark.json"
    cp "$project/tests/yours/baseline.json" "$home/tests/baseline.json"
    # Without what differs from run to run, and from machine to machine.
    "$project/.venv/bin/python" - "$project/notebooks/explore.ipynb" "$notebook" <<'PYTHON'
import sys

import nbformat

book = nbformat.read(sys.argv[1], as_version=4)
book.metadata.language_info = {"name": "python"}
for cell in book.cells:
    cell.metadata.pop("execution", None)
    for output in cell.get("outputs", []):
        output.get("data", {}).pop("text/html", None)
nbformat.write(book, sys.argv[2])
PYTHON
    echo "recorded $home"
done
git --no-pager diff --stat -- frameworks examples
