-- Accounts: the truth about who may log in and do what.
create table users (
    id uuid not null,
    name text not null,
    email text not null,                -- as it was typed
    -- The address in small letters. Folding is done in code: the database's depends on its locale.
    email_key text not null,
    password text not null,             -- argon2id as a PHC string: parameters and salt are in it, so they can be raised later
    role text not null,
    sections text,                      -- JSON list of the sections where the role holds; null for all, those of the future too
    created_at timestamptz not null,
    version integer not null,
    constraint users_pk primary key (id),
    constraint users_email_unique unique (email_key),
    constraint users_role check (role in ('reader', 'author', 'editor', 'admin')),
    constraint users_version check (version > 0)
);

-- The list of accounts is a list by registration.
create index users_by_registration on users (created_at, id);
-- Whether another admin is left is asked in every demotion and erasure of one.
create index users_admins on users (id) where role = 'admin';

-- What people allow. No row: nothing, which is how everybody starts.
create table consents (
    user_id uuid not null,
    personalisation boolean not null,
    history boolean not null,
    version integer not null,
    changed_at timestamptz not null,
    constraint consents_pk primary key (user_id),
    constraint consents_user_fk foreign key (user_id) references users (id) on delete cascade
);

-- Tombstones. A registration that is still in the intake when its account is erased must not come back from there,
-- however late; so these rows stay. They hold an id and a time, nothing about a person.
create table erasures (
    user_id uuid not null,
    erased_at timestamptz not null,
    constraint erasures_pk primary key (user_id)
);

-- Messages that tell of effects stored in this database and that the bus has not confirmed yet.
-- A row is written in the transaction of its effect and deleted once the bus has confirmed it: the table is a list of what
-- is to be done, not a history, so it stays as small as the bus is fast. The history is where the effect is.
-- Positions are never used twice: a late confirmation would delete somebody else's row. They follow the order in which rows
-- were written; of effects that depend on each other (the versions of one article) that is the order of their commits.
create table outbox (
    position bigint generated always as identity,
    message_id uuid not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at timestamptz not null,
    trace text not null,          -- W3C traceparent of the request that caused it
    body bytea not null,          -- protobuf
    constraint outbox_pk primary key (position)
);

-- Every row is deleted soon: without this the relay reads past dead rows until a fifth of the table is dead.
alter table outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
