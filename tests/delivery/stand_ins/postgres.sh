#!/usr/bin/env bash
# What the official image does at its first start, as far as the tests need it.
set -euo pipefail
if [ ! -e "$PGDATA/made" ]; then
    rm -rf "$PGDATA"
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
        --auth=scram-sha-256
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options "-c listen_addresses=''" start
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") createdb --host /var/run/postgresql \
        --username "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --wait stop
    touch "$PGDATA/made"
fi
exec postgres -c listen_addresses='*'
