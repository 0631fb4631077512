#!/usr/bin/env bash
# Usage: scripts/build.sh [--allow-dirty]
#
# Builds dist/: wheel, source distribution, CycloneDX bill of materials, and manifest.json with the
# SHA-256 of each. The same commit gives the same bytes, whenever and wherever it is built.
#
#   --allow-dirty  build with uncommitted changes too; the manifest then says so

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

allow_dirty=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --allow-dirty) allow_dirty=1 ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done

cd "$ROOT"
started=$(now)
git rev-parse --verify --quiet HEAD >/dev/null 2>&1 ||
    die "there is no commit to build; run git init, git add and git commit first"
changes=$(git status --porcelain -- .)
if [ -n "$changes" ] && [ -z "$allow_dirty" ]; then
    die "there are uncommitted changes ($(head -n 1 <<<"${changes#???}")$([ "$(wc -l <<<"$changes")" -eq 1 ] || echo ", …")); commit them, or use --allow-dirty"
fi
scripts/setup.sh --quiet
hold build

# Everything that could get into the archives from outside the commit is fixed here.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C PYTHONHASHSEED=0
umask 022

work=$(mktemp -d "$ROOT/var/build.XXXXXX") || die "cannot write to $ROOT/var"
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/dist"
# Only what git knows is built, so a stray file never slips into a release.
copy_source() {
    git ls-files -z -- . | while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then
            mkdir -p "$work/source/$(dirname "$file")"
            cp "$file" "$work/source/$file"
        fi
    done
}

build_packages() {
    .venv/bin/python -m build --no-isolation --outdir "$work/dist" "$work/source"
}

# cyclonedx-py stumbles over a [tool.poetry] without a name, so it sees [project] alone. Packages are
# named by package URL: which index or mirror they came from is no part of what they are. Validating
# takes five times as long as writing; a test looks at what is written.
build_sbom() {
    awk '/^\[/ { on = /^\[project/ } on' pyproject.toml >"$work/project.toml"
    .venv/bin/cyclonedx-py requirements --pyproject "$work/project.toml" --index-url pkg:pypi \
        --no-validate --output-reproducible --output-format JSON --output-file "$work/dist/sbom.cdx.json" \
        requirements/main.txt
}

write_manifest() {
    .venv/bin/python - "$work/dist" "${changes:+dirty}" <<'PYTHON'
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

dist = Path(sys.argv[1])

def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

manifest = {
    "commit": subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip(),
    "dirty": sys.argv[2] == "dirty",
    "source_date_epoch": int(os.environ["SOURCE_DATE_EPOCH"]),
    "python": platform.python_version(),
    "lock": {"poetry.lock": sha256(Path("poetry.lock"))},
    "files": {path.name: sha256(path) for path in sorted(dist.iterdir())},
}
(dist / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
PYTHON
}

echo "Building $(git rev-parse --short HEAD)${changes:+ with uncommitted changes}"
copy_source
step "wheel and sdist" build_packages
step "bill of materials" build_sbom
write_manifest
# Two renames: dist/ is the old one or the new one, never half of each.
[ ! -d dist ] || mv dist "$work/old"
mv "$work/dist" dist
sed -n 's/^    "\(.*\)": "\(.*\)",\{0,1\}$/  \2  \1/p' dist/manifest.json
echo "Built dist/ in $(took "$started") s"
