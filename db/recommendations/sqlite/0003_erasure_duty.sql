-- The persons whose erasure is not true in this file yet: their rows are deleted, but the log and rearranged pages may still hold
-- copies. A row is written in the transaction of the erasure, and deleted once the file was vacuumed and its log emptied.
create table erasure_duty (
    person blob not null,
    since integer not null default (unixepoch()), -- seconds since 1970, for whoever looks at the table
    vacuumed integer not null default 0,          -- the file was vacuumed since
    constraint erasure_duty_pkey primary key (person)
) strict, without rowid;
