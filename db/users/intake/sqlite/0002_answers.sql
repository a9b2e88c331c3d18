-- What clients asked for under a key of their own, so that a registration has one effect however often it is sent.
-- A row is written when somebody begins, and becomes the answer in the transaction that takes the registration in: so of any number of
-- attempts one has an effect. It says what was done and not what was answered, which follows from it and from the request: no name, no
-- address and no password is kept a second time.
create table answers (
    -- SHA-256 of who asked, for what, and their key.
    name blob not null constraint answers_pk primary key,
    -- Of the request. There is a password in it, so it takes a secret that is not in this file to make one.
    fingerprint text not null,
    user_id blob not null,         -- the account that it is, or would have been; it tells attempts apart
    registered_at integer,         -- what was done …
    refusal text,                  -- … or why nothing was: JSON. Neither: somebody is at it
    expires_at integer not null,   -- milliseconds since 1970
    constraint answers_say_one_thing check (registered_at is null or refusal is null)
) strict;

-- Rows whose time is over count as none, and a worker removes them.
create index answers_by_time on answers (expires_at);
-- Of somebody who is erased no answer stays.
create index answers_of_user on answers (user_id);
