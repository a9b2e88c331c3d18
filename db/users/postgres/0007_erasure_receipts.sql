-- An erasure is complete when every service that stores something about people has sent its receipt. Until
-- then the event `user erased` is published again now and then. Erasures of an older program have no
-- receipts; they count as complete.
alter table erasures add column announced_at timestamptz;  -- the last publication; null: at the erasure
alter table erasures add column completed_at timestamptz;  -- null: a receipt is missing
update erasures set completed_at = erased_at;

-- What is to be published again, and counted.
create index erasures_open on erasures (erased_at) where completed_at is null;

-- The receipts. Like tombstones they stay: they hold an id, a service and a time.
create table erasure_receipts (
    user_id uuid not null,
    service text not null,
    at timestamptz not null,
    constraint erasure_receipts_pk primary key (user_id, service)
);
