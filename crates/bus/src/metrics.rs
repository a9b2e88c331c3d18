//! The metrics of the bus and of the relays, the same for both adapters.

use chassis::metrics::{Counter, Described, Gauge, Histogram};

/// Duration of publications.
pub(crate) static PUBLISH: Histogram<1> = Histogram::new(
    "bus_publish_duration_seconds",
    ["outcome"],
    "Time until the bus has confirmed all messages of a publication: `ok`, `failed`, or `given_up` by the caller.",
    "A share of `failed` or `given_up`: events stay in the outbox, and their effects elsewhere come late.",
);
/// Duration of handlers.
pub(crate) static HANDLE: Histogram<2> = Histogram::new(
    "bus_handle_duration_seconds",
    ["queue", "outcome"],
    "Time that handlers took for a message, `ok` or `failed`. Broadcasts have the queue `<service>.broadcast`.",
    "Times that grow: a consumer takes one message after the other, so its queue grows too.",
);
/// Messages that were delivered before.
pub(crate) static REDELIVERED: Counter<1> = Counter::new(
    "bus_redelivered_total",
    ["queue"],
    "Deliveries of messages that were delivered before: refused for a transient reason, or lost with a consumer or a connection.",
    "A steady rate: a dependency of the handler is unavailable, or consumers crash.",
);
/// Messages that were given up.
pub(crate) static DEAD: Counter<1> = Counter::new(
    "bus_dead_total",
    ["queue"],
    "Messages that went to the dead letters, except those that the broker itself gives up.",
    "Any increase: an effect is missing until an operator has looked at the dead letter.",
);
/// Age of the oldest message in an outbox.
pub(crate) static OUTBOX_OLDEST: Gauge<1> = Gauge::new(
    "outbox_oldest_unsent_seconds",
    ["service"],
    "Age of the oldest message in the outbox when its relay last looked, 0 if there was none. Of several replicas only the one \
     that sends knows it, so take the maximum.",
    "Above 10 for a minute: the bus accepts no messages, so readers, caches and other services miss new events.",
);

/// Returns the descriptions of all metrics of this crate.
pub fn described() -> Vec<Described> {
    vec![
        PUBLISH.described(),
        HANDLE.described(),
        REDELIVERED.described(),
        DEAD.described(),
        OUTBOX_OLDEST.described(),
    ]
}
