-- What was answered to commands that came under a key, so that a command has one effect however often it is sent.
-- A row is written in the transaction of the effect: the primary key is what keeps two effects apart. It says what was done and
-- not what was answered, which follows from it: no text and no name is kept a second time, and nothing in it outlives an erasure.
-- Rows whose time is over count as none, and a worker removes them.
create table answers (
    owner blob not null,          -- the account
    command text not null,        -- what was asked, and about which article
    idempotency_key text not null,
    fingerprint text not null,    -- of the request
    article blob,                 -- what was done …
    version integer,
    refusal text,                 -- … or why nothing was: JSON
    kept_until integer not null,  -- milliseconds since 1970
    constraint answers_pk primary key (owner, command, idempotency_key),
    constraint answers_say_one_thing
        check ((article is null) = (version is null) and (article is null) <> (refusal is null))
) strict;

create index answers_by_time on answers (kept_until);
