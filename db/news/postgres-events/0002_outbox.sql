-- Messages that tell of effects stored in this database and that the bus has not confirmed yet.
-- A row is written in the transaction of its effect and deleted once the bus has confirmed it: the table is a list of what
-- is to be done, not a history, so it stays as small as the bus is fast. The history is where the effect is.
-- Positions are never used twice: a late confirmation would delete somebody else's row. They follow the order in which rows
-- were written; of effects that depend on each other (the versions of one article) that is the order of their commits.
create table outbox (
    position bigint generated always as identity,
    message_id uuid not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at timestamptz not null,
    trace text not null,          -- W3C traceparent of the request that caused it
    body bytea not null,          -- protobuf
    constraint outbox_pk primary key (position)
);

-- Every row is deleted soon: without this the relay reads past dead rows until a fifth of the table is dead.
alter table outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
