#!/usr/bin/env bash
# Usage: scripts/environment.sh
#
# Writes frameworks/*/environment.md.jinja anew: the docs/environment.md of a project as rendered,
# with its answers put back as expressions. Run it after a change to a lock or to the settings of
# the rendered project; a project's own tests fail where its page is stale.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
-h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && exit ;;
?*) echo "error: unknown argument '$1'" >&2 && exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copier=.venv/bin/copier
[ -x "$copier" ] || copier=copier
for framework in frameworks/*/; do
    framework=$(basename "$framework")
    project=$work/$framework
    # The working tree, not its last commit; without its .git Copier takes the files as they are.
    mkdir "$work/template"
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        xargs -0 cp --parents -t "$work/template"
    page=frameworks/$framework/environment.md.jinja
    [ -e "$page" ] || : >"$work/template/$page"
    "$copier" copy --quiet --defaults -d package_name=the_package -d python_version=3.12 \
        -d "framework=$framework" "$work/template" "$project"
    "$project/scripts/setup.sh" --quiet
    "$project/.venv/bin/python" -c "
import pathlib
from the_package.ops import environment
environment.write(pathlib.Path('$project'))"
    # shellcheck disable=SC2016
    sed -e 's/the-package/{{ cli_name }}/g' -e 's/^| Python | 3\.12 |$/| Python | {{ python_version }} |/' \
        "$project/docs/environment.md" >"$page.new"
    mv "$page.new" "$page"
    rm -rf "$work/template"
    echo "wrote $page"
done
