#!/usr/bin/env bash
# Makes what docker-compose.yml needs to know and nobody else may: passwords, the addresses that hold them,
# the key that signs access tokens. Into secrets/, or the folder that is named. What is there stays: run it
# again after an update, and it adds what is new. Needs openssl.
#
#   deploy/secrets.sh [FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-secrets}
# The folder keeps other people of this machine out; the files are readable, because each container has a user
# of its own and compose hands a file over with the mode that it has.
umask 022
mkdir -p "$folder"
chmod 0700 "$folder"
printf '*\n' >"$folder/.gitignore"

# put NAME TEXT: writes it, unless it is there.
put() {
    [ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}

# password NAME: makes one, unless it is there, and prints it. Letters and digits: it goes into addresses as
# it is.
password() {
    put "$1" "$(openssl rand -hex 24)"
    cat "$folder/$1"
}

# The stores: a password for whoever looks after the server, and one for the service, which alone is in the
# service's address.
postgres() { # service role database-secret
    password "$2_postgres_password" >/dev/null
    put "$2_$3_url" "postgres://$2:$(password "$2_$3_password")@$1-postgres:5432/$2"
}

mongo() { # service role
    password "$2_mongo_password" >/dev/null
    put "$2_view_url" "mongodb://$2:$(password "$2_view_password")@$1-mongo:27017/$2?authSource=$2"
}

# role purpose: the server knows the password's hash and no other user; the service touches keys of its own
redis() {
    local secret
    secret=$(password "$1_$2_password")
    put "$1_$2_acl" "user default off
user $1 on #$(printf '%s' "$secret" | openssl dgst -sha256 -r | cut -d' ' -f1) ~$1:* &$1:* +@all -@admin -@dangerous +info +bgrewriteaof"
    put "$1_$2_url" "redis://$1:$secret@$1-$2:6379/0"
}

postgres users users store
redis users cache
redis users intake
for section in famous politics sports; do
    postgres "$section-news" "${section}_news" events
    mongo "$section-news" "${section}_news"
done

# The broker: queue/definitions.json with a hash in the place of each password, and an operator for its
# console.
hash() { # RabbitMQ's own form: a salt of four bytes before the SHA-256 of salt and password
    local salt
    salt=$(openssl rand -hex 4 | sed 's/../\\x&/g')
    { printf "$salt"; { printf "$salt"; printf '%s' "$1"; } | openssl dgst -sha256 -binary; } | openssl base64 -A
}

definitions=$(cat queue/definitions.json)
for service in users famous-news politics-news sports-news orchestrator recommendations; do
    name=${service//-/_}
    secret=$(password "${name}_bus_password")
    put "${name}_bus_url" "amqp://$service:$secret@rabbitmq:5672/portal"
    definitions=${definitions//"\"password\": \"\${${name^^}_PASSWORD}\""/"\"password_hash\": \"$(hash "$secret")\""}
done
operator=$(hash "$(password operator_password)")
definitions=${definitions/'"users": ['/'"users": [
    { "name": "operator", "password_hash": "'"$operator"'", "tags": "administrator" },'}
definitions=${definitions/'"permissions": ['/'"permissions": [
    { "user": "operator", "vhost": "portal", "configure": ".*", "write": ".*", "read": ".*" },'}
# Made anew each time: what changes in queue/definitions.json arrives, and the passwords are the same.
printf '%s\n' "$definitions" >"$folder/rabbitmq_definitions"

# The Community edition has one kind of user, and one database.
put recommendations_neo4j_auth "neo4j/$(openssl rand -hex 24)"
auth=$(cat "$folder/recommendations_neo4j_auth")
put recommendations_store_url "neo4j://neo4j:${auth#*/}@recommendations-neo4j:7687"

# What a service proves itself with at another one over gRPC: both are told, and nobody else.
password recommendations_users_token >/dev/null
password orchestrator_recommendations_token >/dev/null

# The first admin, and the key: Ed25519, PKCS#8.
password admin_password >/dev/null
[ -e "$folder/signing_key" ] || openssl genpkey -algorithm ed25519 -out "$folder/signing_key"
chmod 0644 "$folder/signing_key"

