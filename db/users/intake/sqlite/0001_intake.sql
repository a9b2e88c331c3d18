-- The intake: registrations that were acknowledged and are not in the store of accounts yet. It is a file of its own, as in
-- the fleet it is a server of its own: no transaction spans it and the store.

-- Who holds which e-mail while it is in no store. `expires_at` (milliseconds since 1970) is null once the registration was taken
-- in: from then on the e-mail is held until the registration is settled, however long that takes.
create table reservations (
    email_key text not null constraint reservations_pk primary key,
    user_id blob not null constraint reservations_user_unique unique,
    expires_at integer
) strict;

-- Leases that ran out are swept by the next reservation.
create index reservations_by_expiry on reservations (expires_at) where expires_at is not null;

-- What waits. `autoincrement`: registrations are taken in the order in which they came, and a position is never used twice.
create table registrations (
    position integer not null constraint registrations_pk primary key autoincrement,
    user_id blob not null constraint registrations_user_unique unique,
    record text not null,                           -- versioned JSON, see store/record.rs; the password is a hash
    trace text not null,                            -- W3C traceparent of the request
    attempts integer not null default 0,
    free_at integer not null default 0,             -- when it may be taken (again)
    last_failure text
) strict;

-- What will never succeed, kept for somebody to look at. Its e-mail stays reserved, so that it can be put back.
create table buried (
    user_id blob not null constraint buried_pk primary key,
    record text not null,
    reason text not null,
    attempts integer not null,
    buried_at integer not null
) strict;
