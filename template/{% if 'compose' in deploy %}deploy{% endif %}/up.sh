#!/usr/bin/env bash
# Usage: deploy/up.sh [OPTION or SERVICE of docker compose up …]
#        deploy/up.sh --passwords
#
# Starts the platform of compose.yaml: MLflow on PostgreSQL behind a login, Prometheus, Alertmanager and
# Grafana. Passwords that are missing are made first, each in a file in deploy/secrets; --passwords does
# no more than that. After an update, --build builds MLflow's image anew.

# shellcheck source=../scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

case ${1:-} in
-h | --help) help ;;
esac
cd "$ROOT"
hold up
folder=deploy/secrets
# Compose mounts each file as it is, and every service runs as a user of its own, who has to be able to
# read it. Other users of this machine cannot open the folder.
{ mkdir -p "$folder" && chmod 700 "$folder"; } 2>/dev/null || die "cannot write to $ROOT/$folder"

for name in DATABASE_PASSWORD GRAFANA_PASSWORD; do
    if [ -n "${!name:-}" ] || grep -Eqs "^ *(export +)?$name *=." .env; then
        die "$name is no longer read from .env or the environment: write its value into" \
            "$folder/$(tr '[:upper:]' '[:lower:]' <<<"$name"), and remove it there"
    fi
done
for name in database_password grafana_password tracking_password; do
    file=$folder/$name
    if [ ! -s "$file" ]; then
        password=$(od -An -v -tx1 -N20 /dev/urandom | tr -d ' \n')
        { (umask 077 && printf '%s\n' "$password" >"$file.new") && mv -f "$file.new" "$file"; } 2>/dev/null ||
            die "cannot write to $ROOT/$folder"
    fi
    chmod 644 "$file" 2>/dev/null || die "$file belongs to another user, so its mode cannot be set to 644"
done
[ "${1:-}" != --passwords ] || exit 0

compose=(docker compose)
"${compose[@]}" version >/dev/null 2>&1 || compose=(docker-compose)
"${compose[@]}" up --detach --wait "$@"
say "MLflow asks for the user mlflow and the password in $folder/tracking_password,"
say "Grafana for admin and the one in $folder/grafana_password."
