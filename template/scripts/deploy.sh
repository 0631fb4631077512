#!/usr/bin/env bash
# Usage: scripts/deploy.sh ENV [--version V]
#        scripts/deploy.sh ENV rollback [N] | status | history | stop
#
# Lets a registered version answer requests: the champion, or version V. It starts beside the release
# that answers, proves itself, shares the requests for ML_CANARY_SECONDS, and only then takes over; if
# anything is wrong, the old one goes on answering. See docs/runbook.md.
#
#   ENV        local: a process at ML_HOST and ML_PORT; or a deploy target of this project
#   rollback   return to the previous release, or to release N
#   status     which release answers, and where
#   history    every attempt with its result
#   stop       answer no more

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
-h | --help) help ;;
'') usage_error "no environment is given" ;;
esac
command=$(cli)
[ -x "$command" ] || die "there is no environment yet; run scripts/setup.sh"
exec "$command" deploy "$@"
