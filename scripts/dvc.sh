#!/usr/bin/env bash
# Usage: scripts/dvc.sh [FRAMEWORK…]
#
# Rewrites frameworks/*/dvc.lock.jinja: the dvc.lock of a project as rendered, with its package's
# name put back as an expression. Run it after a change to a framework's own files or to dvc.yaml; it
# sets the framework up and trains, so it takes minutes for some. Tests fail where a lock is stale.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
case ${1:-} in
-h | --help) help ;;
esac
[ $# -gt 0 ] || set -- frameworks/*/

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=.venv/bin/python
[ -x "$python" ] || python=python
for framework; do
    framework=$(basename "$framework")
    lock=frameworks/$framework/dvc.lock.jinja project=$work/$framework
    [ -d "frameworks/$framework" ] || die "there is no framework $framework"
    "$python" - "$framework" "$project" <<'PYTHON'
import sys
from pathlib import Path

from groundwork import template

framework, project = sys.argv[1:]
template.render(Path.cwd(), Path(project), framework=framework, package_name="the_package", data="dvc")
PYTHON
    rm "$project/dvc.lock"
    git -C "$project" init --quiet
    git -C "$project" add --all
    git -C "$project" -c user.name=Groundwork -c user.email=groundwork@localhost commit --quiet -m start
    "$project/scripts/setup.sh" --quiet
    (cd "$project" && .venv/bin/dvc repro)
    # shellcheck disable=SC2016
    sed 's/the_package/{{ package_name }}/g' "$project/dvc.lock" >"$lock.new"
    mv "$lock.new" "$lock"
    rm -rf "$project"
    echo "wrote $lock"
done
