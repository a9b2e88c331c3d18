-- The persons whose erasure is not true in this database yet: their rows are deleted, but the tables may still hold them as dead
-- rows. A row is written in the transaction of the erasure, and deleted once the tables were vacuumed.
create table erasure_duty (
    person uuid constraint erasure_duty_pkey primary key,
    since timestamptz not null default now()
);
