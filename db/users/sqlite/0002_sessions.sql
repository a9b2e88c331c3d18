-- Logins that last. Of a refresh token only digests are here: whoever reads this table can log in with nothing in it.
create table sessions (
    id blob not null constraint sessions_pk primary key,
    user_id blob not null constraint sessions_user_fk references users (id) on delete cascade,
    -- SHA-256 of what all tokens of the session have in common. A token whose series is here and whose value is not is an old one:
    -- so that is known of every old one, and only the newest value has to be kept.
    series blob not null constraint sessions_series_unique unique,
    value blob not null,                -- SHA-256 of the part that every refresh replaces
    -- The last refresh, where its client named it by a key: then the same client can ask for its answer again.
    previous blob,                      -- SHA-256 of the value before
    retry_key blob,                     -- SHA-256 of the client's key
    retry_salt blob,                    -- what the new value was made with, out of the value before
    created_at integer not null,
    last_used_at integer not null,
    expires_at integer not null,
    constraint sessions_retry check ((previous is null) = (retry_key is null) and (previous is null) = (retry_salt is null))
) strict;

-- A person's sessions are listed, counted and ended together.
create index sessions_of_user on sessions (user_id, last_used_at);
