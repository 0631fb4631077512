#!/usr/bin/env bash
# Usage: scripts/image-packages.sh GROUP..., in the Dockerfile only
#
# Installs these groups' exports into /opt/venv, each package checked by its hash, with the uv that
# the lock names. /cache lasts from one build to the next, and /run/secrets has what the network
# asks for, if it asks for anything.

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
-h | --help) help ;;
-*) usage_error "unknown argument '$1'" ;;
'') usage_error "no group is given" ;;
esac

if [ -f /run/secrets/ca ]; then
    export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
fi
if [ -f /run/secrets/index ]; then
    set -a
    # shellcheck disable=SC1091
    source /run/secrets/index
    set +a
fi
# Compiled code must not name the time of its source, which differs from one build to the next.
# Nothing is compiled but by uv, below.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
export XDG_CACHE_HOME=/cache UV_CACHE_DIR=/cache/uv UV_LINK_MODE=copy

PYTHON=$(type -P python3) || die "the base has no python3"
find_uv || { bootstrap_uv "$PYTHON" && UV=$UV_KEPT; }
if [ ! -d /opt/venv ]; then
    "$UV" venv --quiet --python "$PYTHON" /opt/venv
    rm -f /opt/venv/.gitignore
fi
for group; do
    "$UV" pip install --quiet --python /opt/venv/bin/python --require-hashes --no-deps \
        --compile-bytecode -r "$ROOT/requirements/$group.txt"
done
