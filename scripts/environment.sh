#!/usr/bin/env bash
# Usage: scripts/environment.sh
#
# Rewrites frameworks/*/environment.md.jinja: the docs/environment.md of a project as rendered,
# with its answers put back as expressions. Run it after a change to a lock or to the settings of
# the rendered project; a project's own tests fail where its page is stale. The code that writes the
# page is the same for all, so only the lightest framework's packages are installed.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
case ${1:-} in
-h | --help) help ;;
?*) usage_error "unknown argument '$1'" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
groundwork_python=.venv/bin/python
[ -x "$groundwork_python" ] || groundwork_python=python

# render FRAMEWORK FILE…: these files of the working tree's render, all without a FILE.
render() {
    "$groundwork_python" - "$work" "$@" <<'PYTHON'
import sys
from pathlib import Path

from groundwork import template

work, framework, *only = sys.argv[1:]
template.render(
    Path.cwd(),
    Path(work) / framework,
    only=only,
    framework=framework,
    package_name="the_package",
    python_version="3.12",
)
PYTHON
}

lightest=scikit-learn
[ -e "frameworks/$lightest/environment.md.jinja" ] || : >"frameworks/$lightest/environment.md.jinja"
render "$lightest"
"$work/$lightest/scripts/setup.sh" --quiet
for framework in frameworks/*/; do
    framework=$(basename "$framework")
    project=$work/$framework
    [ "$framework" = "$lightest" ] || render "$framework" pyproject.toml poetry.lock .python-version requirements
    "$work/$lightest/.venv/bin/python" -c "
import pathlib
from the_package.ops.provenance import environment
environment.write(pathlib.Path('$project'))"
    page=frameworks/$framework/environment.md.jinja
    # shellcheck disable=SC2016
    sed -e 's/the-package/{{ cli_name }}/g' -e 's/^| Python | 3\.12 |$/| Python | {{ python_version }} |/' \
        "$project/docs/environment.md" >"$page.new"
    mv "$page.new" "$page"
    echo "wrote $page"
done
