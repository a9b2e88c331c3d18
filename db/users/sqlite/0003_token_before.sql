-- Of every refresh it is known what its token was made with, also if its client named no key: two tabs that refresh at the same time
-- get the same answer. So the key may be missing. SQLite can't replace a constraint, so the table is made again; no table refers to it.
create table sessions_with_token_before (
    id blob not null constraint sessions_pk primary key,
    user_id blob not null constraint sessions_user_fk references users (id) on delete cascade,
    -- SHA-256 of what all tokens of the session have in common. A token whose series is here and whose value is not is an old one:
    -- so that is known of every old one, and only the newest values have to be kept.
    series blob not null constraint sessions_series_unique unique,
    value blob not null,                -- SHA-256 of the part that every refresh replaces
    -- The last refresh: for a moment its answer can be asked for again, and with its client's key for longer.
    previous blob,                      -- SHA-256 of the value before
    retry_key blob,                     -- SHA-256 of the client's key, if it named one
    retry_salt blob,                    -- what the new value was made with, out of the value before
    created_at integer not null,
    last_used_at integer not null,
    expires_at integer not null,
    constraint sessions_previous
        check ((previous is null) = (retry_salt is null) and (retry_key is null or previous is not null))
) strict;

insert into sessions_with_token_before
    select id, user_id, series, value, previous, retry_key, retry_salt, created_at, last_used_at, expires_at from sessions;
drop table sessions;
alter table sessions_with_token_before rename to sessions;

-- A person's sessions are listed, counted and ended together.
create index sessions_of_user on sessions (user_id, last_used_at);
