#![doc = include_str!("../README.md")]

use std::sync::Arc;

use chassis::Surroundings;

mod amqp;
mod envelope;
mod local;
mod outbox;
mod port;
pub mod postgres_outbox;
mod receiver;
mod relay;
mod row;
mod schedule;
pub mod sqlite_outbox;
mod topic;

#[cfg(test)]
mod contract;

pub use amqp::AmqpBus;
pub use envelope::Envelope;
pub use local::{BusLocal, DeadLetter, Depth};
pub use outbox::Outbox;
pub use port::{Bus, BusError, Call, CallHandler, HANDLER_BUDGET, Handler, Queue, Subscription};
pub use relay::Relay;
pub use schedule::Schedule;
pub use topic::{NotAPattern, Pattern};

/// Opens the bus that `url` names: `local:data/bus.db` is a file that belongs to this process, opened once however many
/// services ask for it; `amqp://user:password@host:port/vhost` is a RabbitMQ, and the user is the service.
///
/// # Errors
/// Where the URL is not understood or not allowed here, the file can't be opened, or no broker answers within seconds.
pub async fn open(url: &str, surroundings: &Surroundings) -> Result<Arc<dyn Bus>, BusError> {
    if url.starts_with("amqp:") || url.starts_with("amqps:") {
        return Ok(Arc::new(AmqpBus::open(url, Schedule::default()).await?));
    }
    Ok(open_local(url, surroundings).await?)
}

/// Opens the local bus that `url` names, with what only it can tell: its dead letters and the depth of its queues.
///
/// # Errors
/// Where the URL is not understood or not allowed here, or the file can't be opened.
pub async fn open_local(url: &str, surroundings: &Surroundings) -> Result<Arc<BusLocal>, BusError> {
    let path = url.strip_prefix("local:").filter(|path| !path.is_empty() && !path.starts_with("//"));
    let Some(path) = path else {
        return Err(BusError::Url(format!("{url:?} is no address of a bus such as local:data/bus.db")));
    };
    if !surroundings.allows_in_process() {
        return Err(BusError::Url(format!(
            "{url} joins services of one process and this one is on its own: set its bus.url to an amqp:// address"
        )));
    }
    let clock = surroundings.clock.clone();
    surroundings.shared(path, || BusLocal::open(path, clock, Schedule::default())).await
}
