#!/usr/bin/env bash
# Usage: scripts/record.sh [--tune] FRAMEWORK…
#
# Runs a framework's example for real and keeps what it gives in frameworks/FRAMEWORK: the hashes of
# its data, the metrics and speed that a project's tests compare with, and the executed notebook.
# For a new framework, and after a lock has moved what a model gives. Look at the difference before
# you commit it.
#
#   --tune   search for the parameters again, too (minutes for a network)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tune=''
case ${1:-} in
-h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && exit ;;
--tune) tune=1 && shift ;;
esac
[ $# -gt 0 ] || { echo "error: name a framework; see ${0##*/} --help" >&2 && exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ML_DEVICE=cpu ML_WORKERS=1
for framework in "$@"; do
    home=frameworks/$framework
    [ -d "$home" ] || { echo "error: there is no $home" >&2 && exit 1; }
    project=$work/$framework
    # What a render includes has to exist, if only empty, before it can be made.
    for name in data/manifest.json tuning.json benchmark.json tests/baseline.json environment.md.jinja; do
        mkdir -p "$(dirname "$home/$name")"
        [ -e "$home/$name" ] || echo '{}' >"$home/$name"
    done
    .venv/bin/python - "$project" "$framework" <<'PYTHON'
import sys
from pathlib import Path

from groundwork import template

template.render(Path.cwd(), Path(sys.argv[1]), framework=sys.argv[2])
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
    [ -z "$tune" ] || (cd "$project" && "$cli" tune)
    keep "Data and parameters"
    (cd "$project" && "$cli" train && "$cli" promote && "$cli" evaluate --record && "$cli" bench --record)
    "$project/.venv/bin/jupyter" execute --inplace "$project/notebooks/explore.ipynb"
    # Times, versions and a second form of each table would differ at every turn.
    "$project/.venv/bin/python" - "$project/notebooks/explore.ipynb" <<'PYTHON'
import sys

import nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.metadata.language_info = {"name": "python"}
for cell in notebook.cells:
    cell.metadata = {}
    for output in cell.get("outputs", []):
        output.get("data", {}).pop("text/html", None)
nbformat.write(notebook, sys.argv[1])
PYTHON
    for name in data/manifest.json tuning.json benchmark.json; do
        cp "$project/$name" "$home/$name"
    done
    cp "$project/tests/model/baseline.json" "$home/tests/baseline.json"
    [ ! -e "$home/explore.ipynb" ] || cp "$project/notebooks/explore.ipynb" "$home/explore.ipynb"
    echo "recorded $home"
done
git --no-pager diff --stat -- frameworks
