//! What the bus and the relays count, on either adapter.

use chassis::metrics::{Counter, Described, Gauge, Histogram};

/// Publications.
pub(crate) static PUBLISH: Histogram<1> = Histogram::new(
    "bus_publish_duration_seconds",
    ["outcome"],
    "How long publications took until the bus had confirmed all their messages: `ok`, `failed`, or `given_up` by their caller.",
    "A share of `failed` or `given_up`: facts stay in the outbox, and what follows from them comes late.",
);
/// Messages in the hands of their handlers.
pub(crate) static HANDLE: Histogram<2> = Histogram::new(
    "bus_handle_duration_seconds",
    ["queue", "outcome"],
    "How long handlers took with a message, `ok` or `failed`; broadcasts stand under `<service>.broadcast`.",
    "Times that grow: a consumer takes one message after the other, so its queue grows with them.",
);
/// Messages that came before.
pub(crate) static REDELIVERED: Counter<1> = Counter::new(
    "bus_redelivered_total",
    ["queue"],
    "Deliveries of messages that were delivered before: refused for a passing reason, or lost with a consumer or a connection.",
    "A steady rate: something that the handler needs is away, or consumers crash.",
);
/// Messages that were given up.
pub(crate) static DEAD: Counter<1> = Counter::new(
    "bus_dead_total",
    ["queue"],
    "Messages that went to the dead letters; those that a broker gives up by itself are not among them.",
    "Any increase: an effect is missing until somebody has looked at the dead letter.",
);
/// How far behind a relay is.
pub(crate) static OUTBOX_OLDEST: Gauge<1> = Gauge::new(
    "outbox_oldest_unsent_seconds",
    ["service"],
    "Age of the oldest message in the outbox when its relay last looked, 0 where there was none; of several replicas the one that \
     sends knows it, so take the maximum.",
    "Above 10 for a minute: the bus takes nothing, and readers, caches and other services do not hear of what was done.",
);

/// All of them.
pub fn described() -> Vec<Described> {
    vec![
        PUBLISH.described(),
        HANDLE.described(),
        REDELIVERED.described(),
        DEAD.described(),
        OUTBOX_OLDEST.described(),
    ]
}
