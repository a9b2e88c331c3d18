#!/usr/bin/env bash
# Makes what docker-compose.yml needs to know and nobody else may: passwords, the addresses that hold them, the key that signs
# access tokens. Into secrets/, or the folder that is named. What is there stays: run it again after an update, and it adds
# what is new. Needs openssl.
#
#   deploy/secrets.sh [FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-secrets}
# The folder keeps other people of this machine out; the files are readable, because each container has a user of its own and
# compose hands a file over with the mode that it has.
umask 022
mkdir -p "$folder"
chmod 0700 "$folder"
printf '*\n' >"$folder/.gitignore"

# put NAME TEXT: writes it, unless it is there.
put() {
    [ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}

# password NAME: makes one, unless it is there, and prints it. Letters and digits: it goes into addresses as it is.
password() {
    put "$1" "$(openssl rand -hex 24)"
    cat "$folder/$1"
}

# The stores: a password for whoever looks after the server, and one for the service, which alone is in the service's address.
postgres() { # service role database-secret
    password "$2_postgres_password" >/dev/null
    put "$2_$3_url" "postgres://$2:$(password "$2_$3_password")@$1-postgres:5432/$2"
}

mongo() { # service role
    password "$2_mongo_password" >/dev/null
    put "$2_view_url" "mongodb://$2:$(password "$2_view_password")@$1-mongo:27017/$2?authSource=$2"
}

redis() { # role purpose: the server knows the hash of the password, and no other user
    local secret
    secret=$(password "$1_$2_password")
    put "$1_$2_acl" "user default off
user $1 on #$(printf '%s' "$secret" | openssl dgst -sha256 -r | cut -d' ' -f1) ~* &* +@all -@admin -@dangerous +info +keys +scan"
    put "$1_$2_url" "redis://$1:$secret@$1-$2:6379/0"
}

postgres users users store
redis users cache
redis users intake
for section in famous politics sports; do
    postgres "$section-news" "${section}_news" events
    mongo "$section-news" "${section}_news"
done

# The Community edition has one kind of user, and one database.
put recommendations_neo4j_auth "neo4j/$(openssl rand -hex 24)"
auth=$(cat "$folder/recommendations_neo4j_auth")
put recommendations_store_url "neo4j://neo4j:${auth#*/}@recommendations-neo4j:7687"

# The first admin, and the key: Ed25519, PKCS#8.
password admin_password >/dev/null
[ -e "$folder/signing_key" ] || openssl genpkey -algorithm ed25519 -out "$folder/signing_key"
chmod 0644 "$folder/signing_key"

