-- What the local bus keeps: durable queues, what waits in them, and what nobody could handle.

-- The durable subscriptions. A queue stays until somebody removes it by hand: that nobody consumes it today does not mean
-- that its messages are not wanted tomorrow.
create table queue (
    id integer primary key,
    name text not null,
    constraint queue_name_key unique (name)
) strict;

-- Which routing keys a queue wants; replaced whenever its consumer subscribes.
create table binding (
    queue integer not null,
    pattern text not null,
    constraint binding_pkey primary key (queue, pattern),
    constraint binding_queue_fkey foreign key (queue) references queue (id) on delete cascade
) strict, without rowid;

-- One copy of a message for each queue that wants it, as a broker does: queues have nothing to do with each other, and what
-- is handled is deleted without asking whether another queue still needs it.
-- `autoincrement` because the position is the order of the queue and the name of a delivery in hand: it is never used twice.
create table delivery (
    position integer primary key autoincrement,
    queue integer not null,
    due_at integer not null,              -- milliseconds since 1970: not delivered before
    attempts integer not null default 0,  -- deliveries that were refused
    was_stale integer not null default 0, -- one of them was refused as stale: that is tried again only once
    message_id blob not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at integer not null,
    trace text not null,
    body blob not null,
    constraint delivery_queue_fkey foreign key (queue) references queue (id)
) strict;

-- Answers "what is due next in this queue" without reading bodies.
create index delivery_queue_idx on delivery (queue, position, due_at);

-- Messages that were given up, with the reason. They keep their position, which is their order.
create table dead_letter (
    position integer primary key,
    queue integer not null,
    died_at integer not null,
    attempts integer not null,
    reason_kind text not null,
    reason_code text not null,
    reason_detail text not null,
    message_id blob not null,
    kind text not null,
    routing_key text not null,
    source text not null,
    subject text not null,
    version integer not null,
    happened_at integer not null,
    trace text not null,
    body blob not null,
    constraint dead_letter_queue_fkey foreign key (queue) references queue (id)
) strict;

create index dead_letter_queue_idx on dead_letter (queue, position);
