-- Accounts: the truth about who may log in and do what. Ids are UUIDs as 16 bytes, times milliseconds since 1970.
create table users (
    id blob not null constraint users_pk primary key,
    name text not null,
    email text not null,                -- as it was typed
    -- The address in small letters. Folding is done in code, for letters beyond ASCII too; SQLite's `nocase` knows ASCII only.
    email_key text not null constraint users_email_unique unique,
    password text not null,             -- argon2id as a PHC string: parameters and salt are in it, so they can be raised later
    role text not null constraint users_role check (role in ('reader', 'author', 'editor', 'admin')),
    sections text,                      -- JSON list of the sections where the role holds; null for all, those of the future too
    created_at integer not null,
    version integer not null constraint users_version check (version > 0)
) strict;

-- The list of accounts is a list by registration.
create index users_by_registration on users (created_at, id);
-- Whether another admin is left is asked in every demotion and erasure.
create index users_admins on users (id) where role = 'admin';

-- What people allow. No row: nothing, which is how everybody starts.
create table consents (
    user_id blob not null constraint consents_pk primary key
        constraint consents_user_fk references users (id) on delete cascade,
    personalisation integer not null,
    history integer not null,
    version integer not null,
    changed_at integer not null
) strict;

-- Tombstones. A registration that is still in the intake when its account is erased must not come back from there,
-- however late; so these rows stay. They hold an id and a time, nothing about a person.
create table erasures (
    user_id blob not null constraint erasures_pk primary key,
    erased_at integer not null
) strict;

-- Messages that tell of effects stored in this database and that the bus has not confirmed yet.
-- A row is written in the transaction of its effect and deleted once the bus has confirmed it: the table is a list of what
-- is to be done, not a history, so it stays as small as the bus is fast. The history is where the effect is.
-- `autoincrement` because positions must never be used twice: a late confirmation would delete somebody else's row.
create table outbox (
    position integer primary key autoincrement,
    message_id blob not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at integer not null, -- milliseconds since 1970
    trace text not null,          -- W3C traceparent of the request that caused it
    body blob not null            -- protobuf
) strict;
