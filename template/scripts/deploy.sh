#!/usr/bin/env bash
# Usage: scripts/deploy.sh ENV [--version V]
#        scripts/deploy.sh ENV rollback [N] | status | history | stop
#
# Lets a registered version answer requests: the champion, or version V. The release is of the
# version's own commit and lock. It starts beside the one that answers, replays the golden predictions
# before it says that it is ready, shares the requests for ML_CANARY_SECONDS, and only then takes over.
# If anything is not right, the old one goes on answering.
#
#   ENV        local: processes on this machine, at ML_HOST and ML_PORT
#              compose: containers behind a gateway, where the project has this target; see
#              docs/runbook.md
#   rollback   go back to the previous release, or to release N, with the same care; when nothing
#              answers, to the release that answered last
#   status     which release answers, and where
#   history    every attempt and what came of it, the share that succeeded and the mean time
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
