-- Logins that last. Of a refresh token only digests are here: whoever reads this table can log in with nothing in it.
create table sessions (
    id uuid not null,
    user_id uuid not null,
    -- SHA-256 of what all tokens of the session have in common. A token whose series is here and whose value is not is an old one:
    -- so that is known of every old one, and only the newest value has to be kept.
    series bytea not null,
    value bytea not null,               -- SHA-256 of the part that every refresh replaces
    -- The last refresh, where its client named it by a key: then the same client can ask for its answer again.
    previous bytea,                     -- SHA-256 of the value before
    retry_key bytea,                    -- SHA-256 of the client's key
    retry_salt bytea,                   -- what the new value was made with, out of the value before
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sessions_pk primary key (id),
    constraint sessions_user_fk foreign key (user_id) references users (id) on delete cascade,
    constraint sessions_series_unique unique (series),
    constraint sessions_retry check (num_nulls(previous, retry_key, retry_salt) in (0, 3))
);

-- A person's sessions are listed, counted and ended together.
create index sessions_of_user on sessions (user_id, last_used_at);
