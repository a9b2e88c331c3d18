-- Messages that tell of effects stored in this database and that the bus has not confirmed yet.
-- A row is written in the transaction of its effect and deleted once the bus has confirmed it: the table is a list of what
-- is to be done, not a history, so it stays as small as the bus is fast. The history is where the effect is.
-- `autoincrement` because positions must never be used twice: a late confirmation would delete somebody else's row.
create table outbox (
    position integer primary key autoincrement,
    message_id blob not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at integer not null, -- milliseconds since 1970
    trace text not null,          -- W3C traceparent of the request that caused it
    body blob not null            -- protobuf
) strict;
