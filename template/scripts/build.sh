#!/usr/bin/env bash
# Usage: scripts/build.sh [--image STAGE]... [--engine ENGINE] [--secret ID=FILE]...
#                         [--allow-dirty] [-- ENGINE-OPTION...]
#        scripts/build.sh --release [VERSION] [--engine ENGINE] [--secret ID=FILE]... [--push NAME]
#                         [-- ENGINE-OPTION...]
#
# Builds dist/: wheel, source distribution, CycloneDX bill of materials, and manifest.json with the
# SHA-256 of each. The same commit gives the same bytes, whenever and wherever it is built.
#
#   --image STAGE    build this stage of the Dockerfile as well: serving, training, tracking, test.
#                    Its tag names commit and lock. Buildah and Podman give the same digest each
#                    time; Docker's own builder does not.
#   --release        build a release instead: the champion or VERSION, with its commit's code and packages,
#                    tagged by it; dist/image/ gets its archive, for a scanner, and bill of materials
#   --engine ENGINE  docker, podman or buildah; otherwise the first of them that works here
#   --secret ID=FILE index=FILE or ca=FILE, for a company's network: see the Dockerfile
#   --push NAME      push each image, as NAME with its tag, such as registry.example.com/team/model;
#                    prints NAME@DIGEST, which ML_IMAGE wants for other deploy targets than compose
#   --allow-dirty    build with uncommitted changes too; the manifest then says so
#   ENGINE-OPTION    passed to the engine's build command, for example --network host
#
# BASE_IMAGE names another base than the Dockerfile does, such as a mirror's copy of it.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

allow_dirty='' engine='' release='' push='' stages=() options=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help ;;
    --allow-dirty) allow_dirty=1 ;;
    --image)
        grep -q " AS ${2:--}\$" "$ROOT/Dockerfile" || usage_error "the Dockerfile has no stage '${2:-}'"
        stages+=("$2")
        shift
        ;;
    --release)
        release=champion
        if [[ ${2:--} != -* ]]; then release=$2 && shift; fi
        ;;
    --engine)
        engine=${2:-}
        case $engine in docker | podman | buildah) ;; *) usage_error "--engine needs docker, podman or buildah, not '$engine'" ;; esac
        shift
        ;;
    --push)
        [[ ${2:--} != -* ]] || usage_error "--push needs a name, such as registry.example.com/team/model"
        push=$2
        shift
        ;;
    --secret)
        case ${2:-} in index=?* | ca=?*) ;; *) usage_error "--secret needs index=FILE or ca=FILE" ;; esac
        [ -r "${2#*=}" ] || die "--secret $2: the file cannot be read"
        options+=(--secret "id=${2%%=*},src=$(realpath "${2#*=}")")
        shift
        ;;
    --)
        shift
        options+=("$@")
        break
        ;;
    *) usage_error "unknown argument '$1'" ;;
    esac
    shift
done

# need_engine: set `engine` to one that is here and can build.
need_engine() {
    local wanted=${engine:-docker podman buildah}
    for engine in $wanted; do
        "$engine" info >/dev/null 2>&1 && return
    done
    die "no container engine works here, of: $wanted; install one, start its service, or see what its 'info' says"
}

cd "$ROOT"
started=$(now)
need_commit
changes=''
if [ -n "$release" ]; then # of a commit, whatever lies here
    [ ${#stages[@]} -eq 0 ] || usage_error "--release builds one image, without --image"
    stages=(release)
else
    changes=$(git status --porcelain -- .)
    [ -z "$changes" ] || [ -n "$allow_dirty" ] ||
        die "there are uncommitted changes ($(head -n 1 <<<"${changes:3}")$([ "$(wc -l <<<"$changes")" -eq 1 ] || echo ", …")); commit them, or use --allow-dirty"
fi
[ ${#stages[@]} -eq 0 ] || need_engine
scripts/setup.sh --quiet
hold build

work=$(mktemp -d "$ROOT/var/build.XXXXXX") || die "cannot write to $ROOT/var"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/source/release" "$work/dist"
commit=$(git rev-parse HEAD) version='' digest=''
if [ -n "$release" ]; then
    exported=$("$(cli)" export "$release" "$work/source/release") || exit 1
    read -r version digest commit <<<"$exported"
    [ -n "$commit" ] || die "version $version was trained without a commit; commit, train and promote again"
    git cat-file -e "$commit^{commit}" 2>/dev/null ||
        die "commit $commit of version $version is not in this repository; run git fetch"
fi

# Everything that could get into the archives from outside the commit is fixed here.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C PYTHONHASHSEED=0
umask 022

# Only what git knows is built, so a stray file never slips into a release: the commit, or with
# --allow-dirty the tracked files as they are, and the commits of submodules that they name.
copy_source() {
    local tree='' at path
    [ -z "$changes" ] || tree=$(git -c user.name=build -c user.email=build@localhost stash create)
    tree=${tree:-$commit}
    git archive "$tree" . | tar -x -C "$work/source"
    git ls-tree -r "$tree" . | sed -n 's/^160000 commit //p' | while read -r at path; do
        { git -C "$path" archive "$at" | tar -x -C "$work/source/$path"; } 2>/dev/null || exit 1
    done || die "the submodule's commit is not here; run git submodule update --init"
    # Poetry leaves links out of a package, without a word: what they lead to in here replaces them.
    find "$work/source" -type l | while IFS= read -r path; do
        at=$(realpath "$path" 2>/dev/null) && [[ $at == "$work/source"/* ]] &&
            cp -RL "$path" "$path.copy" 2>/dev/null && rm "$path" && mv "$path.copy" "$path" && continue
        rm -rf "$path" "$path.copy"
        echo "  left out, as it leads to nothing in this commit: ${path#"$work/source/"}"
    done
    # Git keeps no more of a file's mode than whether it is executable.
    chmod -R u=rwX,go=rX "$work/source"
}

build_packages() {
    .venv/bin/python -m build --no-isolation --outdir "$work/dist" "$work/source"
}

# bill FILE ARGUMENT…: write a bill of materials. cyclonedx-py stumbles over a [tool.poetry] without a
# name, so it sees [project] alone. Tests look at what is written: validating takes five times as long.
bill() {
    awk '/^\[/ { on = /^\[project/ } on' "$work/source/pyproject.toml" >"$work/project.toml"
    .venv/bin/cyclonedx-py "${@:2}" --pyproject "$work/project.toml" \
        --no-validate --output-reproducible --output-format JSON --output-file "$1"
}

build_sbom() { bill "$work/dist/sbom.cdx.json" requirements --index-url pkg:pypi requirements/main.txt; }

# describe NAME: put into dist/image/ the image's archive, which scanners read, and its bill of
# materials: each Python package in it, and which others that requires. Nothing in it is run.
describe() {
    mkdir -p "$work/image" "$work/layers" "$work/root"
    case $engine in
    buildah) buildah push --quiet "$1" "docker-archive:$work/image/image.tar:$1" || return ;;
    *) "$engine" save --output "$work/image/image.tar" "$1" || return ;;
    esac
    tar -xf "$work/image/image.tar" -C "$work/layers" || return
    find "$work/layers" -type f | while IFS= read -r layer; do # what is no archive has no such names
        names=$(tar -tf "$layer" 2>/dev/null | grep '\.dist-info/METADATA$') || continue
        tar -xf "$layer" -C "$work/root" -T - <<<"$names" || exit 1
    done || return
    PYTHONPATH=$(find "$work/root" -name '*.dist-info' -exec dirname {} \; | sort -u | paste -sd : -) \
        bill "$work/image/image.cdx.json" environment -S .venv/bin/python || return
    rm -rf dist/image && mkdir -p dist && mv "$work/image" dist/image
}

# image STAGE: the name that its image gets.
image() {
    [ -z "$release" ] || { echo "$(basename "$(cli)")-release:$version" && return; }
    echo "$(basename "$(cli)")-$1:$(git rev-parse --short=12 HEAD)${changes:+-dirty}-$(sha256 poetry.lock | cut -c 1-8)"
}

# build_image STAGE: build it and note its digest. With uncommitted changes no commit is named in
# the image, and a model that it trains says so.
build_image() {
    local stage=$1 name arguments
    name=$(image "$stage")
    arguments=(
        --target "$stage" --tag "$name" --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
        --build-arg "COMMIT=$([ -n "$changes" ] || echo "$commit")" ${options[@]+"${options[@]}"}
    )
    [ -z "$release" ] || arguments+=(--build-arg "VERSION=$version" --build-arg "DIGEST=$digest")
    [ -z "${BASE_IMAGE:-}" ] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
    if [ "$engine" = docker ]; then
        DOCKER_BUILDKIT=1 docker build "${arguments[@]}" "$work/source" || return
        docker image inspect --format '{{.Id}}' "$name" >"$work/digest"
    else # in the format of OCI: the other one names the container that it was built in. No cached
        # layers: they take no notice of another COMMIT, and the image would name the one before.
        "$engine" build --layers --no-cache --format oci --timestamp "$SOURCE_DATE_EPOCH" \
            "${arguments[@]}" "$work/source" || return
        "$engine" images --no-trunc --format '{{.Digest}}' "$name" | sort -u >"$work/digest" # a line a name
    fi
    [ -z "$release" ] || describe "$name" || return
    [ -z "$push" ] || push_image "$name" || return
    printf '%s %s %s %s\n' "$stage" "$name" "$engine" "$(cat "$work/digest")" >>"$work/images"
}

# push_image NAME: push it and note the digest that the registry knows it by.
push_image() {
    local target=$push:${1##*:}
    if [ "$engine" = docker ]; then
        docker tag "$1" "$target"
        docker push "$target" >"$work/said" || return
        echo "$push@$(sed -n 's/.* digest: \(sha256:[0-9a-f]*\).*/\1/p' "$work/said")" >>"$work/pushed"
    else
        "$engine" push --quiet --digestfile "$work/pushed-digest" "$1" "docker://$target" || return
        echo "$push@$(cat "$work/pushed-digest")" >>"$work/pushed"
    fi
}

write_manifest() {
    .venv/bin/python - "$work/dist" "$commit" "$changes" "$work/images" <<'PYTHON'
import hashlib, json, os, platform, sys
from pathlib import Path

dist = Path(sys.argv[1])

def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()

manifest = {
    "commit": sys.argv[2],
    "dirty": bool(sys.argv[3]),
    "source_date_epoch": int(os.environ["SOURCE_DATE_EPOCH"]),
    "python": platform.python_version(),
    "lock": {"poetry.lock": sha256(Path("poetry.lock"))},
    "files": {path.name: sha256(path) for path in sorted(dist.iterdir())},
    "images": {
        stage: {"name": name, "engine": engine, "digest": digest}
        for stage, name, engine, digest in map(str.split, Path(sys.argv[4]).read_text().splitlines())
    },
}
(dist / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
print(*(f"  {digest}  {name}" for name, digest in manifest["files"].items()), sep="\n")
PYTHON
}

echo "Building $(git rev-parse --short "$commit")${changes:+ with uncommitted changes}${version:+, version $version}"
copy_source
if [ -z "$release" ]; then
    step "wheel and sdist" build_packages
    step "bill of materials" build_sbom
fi
: >"$work/images"
for stage in ${stages[@]+"${stages[@]}"}; do
    step "image $stage" build_image "$stage"
done
if [ -z "$release" ]; then
    write_manifest
    # Two renames: dist/ is the old one or the new one, never half of each.
    [ ! -d dist ] || mv dist "$work/old"
    mv "$work/dist" dist
fi
awk '{ print "  " $4 "  " $2 }' "$work/images"
[ -z "$push" ] || sed 's/^/  pushed /' "$work/pushed"
echo "Built ${release:-dist/} in $(took "$started") s"
