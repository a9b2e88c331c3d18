#!/usr/bin/env bash
# Run by the image once, when its data folder is new: the service's role and database, by the script that
# every other shape of the portal uses too. The password comes over standard input, where no list of processes
# shows it.
set -euo pipefail

{
    printf '\\set service %s\n\\set password %s\n' "$SERVICE_ROLE" "$(cat "$SERVICE_PASSWORD_FILE")"
    cat /portal/service.sql
} | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres
