-- The audit: who did what to which account, when, and from which network. A row is written in the
-- transaction of its effect. It is never changed, with one exception: an erasure removes the network from
-- the rows that name the person. Rows are deleted when they expire.
create table audit (
    position integer primary key autoincrement,
    actor blob,                         -- the account that acted; null: the portal itself, or its operator
    subject blob not null,              -- the account that it was done to
    kind text not null,
    at integer not null,
    network text                        -- 192.0.2.0/24 or 2001:db8:1::/48; null: unknown or removed
) strict;

create index audit_by_time on audit (at, position);
create index audit_by_subject on audit (subject, at, position);
create index audit_by_actor on audit (actor, at, position);
