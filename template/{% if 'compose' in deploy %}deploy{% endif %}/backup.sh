#!/usr/bin/env bash
# Usage: deploy/backup.sh
#        deploy/backup.sh --restore FILE
#
# Backs up MLflow of compose.yaml, database and artifacts, to one file in BACKUP_DIR (var/backups) while
# MLflow goes on working, and keeps the newest BACKUP_KEEP (7). --restore loads a backup beside what is
# there, and replaces that only once all of it is loaded. Nothing is deleted: see docs/runbook.md.

# shellcheck source=../scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

case ${1:-} in
-h | --help) help ;;
--restore) [ -n "${2:-}" ] && [ $# = 2 ] || usage_error "--restore needs one file" ;;
'') ;;
*) usage_error "unknown argument '$1'" ;;
esac
file=${2:-} folder=${BACKUP_DIR:-$ROOT/var/backups} keep=${BACKUP_KEEP:-7} at=$(date -u +%Y%m%dT%H%M%SZ)
[[ $keep =~ ^[1-9][0-9]*$ ]] || die "BACKUP_KEEP must be a number above 0, not '$keep'"
if [ -n "$file" ]; then
    { [ -r "$file" ] && file=$(realpath "$file"); } || die "$file cannot be read"
fi
cd "$ROOT"
hold backup
compose=(docker compose)
"${compose[@]}" version >/dev/null 2>&1 || compose=(docker-compose)
project=$(basename "$(cli)") parts=(project database.dump artifacts.tar)
umask 077
{ mkdir -p "$folder" && work=$(mktemp -d "$folder/.new.XXXXXX"); } 2>/dev/null ||
    die "cannot write to $folder"
trap 'rm -rf "$work"' EXIT

# database SCRIPT and artifacts SCRIPT: run it in a container, where the one or the other is.
database() {
    "${compose[@]}" exec -T database \
        sh -ec "export PGPASSWORD=\$(cat \$POSTGRES_PASSWORD_FILE) PGUSER=\$POSTGRES_USER; $1"
}
artifacts() {
    "${compose[@]}" run --rm --no-deps -T --workdir /app/artifacts --entrypoint sh tracking -ec "$1"
}

# The database first: what it names is among the artifacts then. Status 1: one was written meanwhile.
save() {
    local pack="tar --exclude=./.new --exclude='./.before-*' -cf - . || [ \$? = 1 ]"
    database "pg_dump --format=custom mlflow" >"$work/database.dump" &&
        artifacts "$pack" >"$work/artifacts.tar" &&
        echo "$project" >"$work/project" && sha256 "${parts[@]/#/$work/}" >"$work/sha256" &&
        tar -C "$work" -cf "$work/new" "${parts[@]}" sha256 &&
        mv "$work/new" "$folder/$project-$at.tar"
}

unpack() {
    tar -C "$work" -xf "$file" "${parts[@]}" sha256 &&
        [ "$(sha256 "${parts[@]/#/$work/}")" = "$(cat "$work/sha256")" ]
}

load() {
    local fill="dropdb --if-exists mlflow_new; createdb mlflow_new
        pg_restore --exit-on-error --dbname mlflow_new
        psql --command 'TABLE alembic_version' mlflow_new"
    "${compose[@]}" up --detach --wait database && database "$fill" <"$work/database.dump" &&
        artifacts "rm -rf .new; mkdir .new; tar -C .new -xf -" <"$work/artifacts.tar"
}

replace() {
    local rename="psql --single-transaction --set ON_ERROR_STOP=1 \
        --command 'ALTER DATABASE mlflow RENAME TO \"mlflow_before_$at\"' \
        --command 'ALTER DATABASE mlflow_new RENAME TO mlflow' postgres"
    local old="-mindepth 1 -maxdepth 1 ! -name .new ! -name '.before-*'"
    "${compose[@]}" stop tracking && database "$rename" &&
        artifacts "mkdir .before-$at; find . $old -exec mv {} .before-$at \;
            find .new -mindepth 1 -maxdepth 1 -exec mv {} . \;; rmdir .new"
}

if [ -z "$file" ]; then
    step "back up" save
    find "$folder" -name "$project-*Z.tar" | sort -r | tail -n "+$((keep + 1))" |
        while IFS= read -r old; do rm -f "$old"; done
    say "$folder/$project-$at.tar"
else
    unpack 2>/dev/null || die "$file is damaged or no backup; nothing was changed"
    [ "$(cat "$work/project")" = "$project" ] ||
        die "$file is another project's backup; nothing was changed"
    step "load beside what is there" load
    trap 'rm -rf "$work"; "${compose[@]}" up --detach --wait tracking >/dev/null 2>&1' EXIT # in any case
    step "replace" replace
    step "start MLflow" "${compose[@]}" up --detach --wait tracking
    say "restored; before: database mlflow_before_$at, and .before-$at among the artifacts"
fi
