#![doc = include_str!("../README.md")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::config::{Address, Form, Place};
use chassis::{Closer, Dependency, Surroundings};

mod amqp;
mod envelope;
mod erasing;
mod local;
pub mod metrics;
mod outbox;
mod port;
pub mod postgres_outbox;
mod receiver;
mod relay;
mod row;
mod schedule;
pub mod sqlite_outbox;
mod told;
mod topic;

#[cfg(test)]
mod contract;

pub use amqp::AmqpBus;
pub use envelope::Envelope;
pub use erasing::Erasing;
pub use local::{BusLocal, DeadLetter, Depth, Listing};
pub use outbox::Outbox;
pub use port::{Bus, BusError, Call, CallHandler, HANDLER_BUDGET, Handler, Queue, Subscription};
pub use relay::Relay;
pub use schedule::Schedule;
pub use topic::{NotAPattern, Pattern};

/// A bus that was opened for a service.
pub struct Opened {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// How it is closed, for whoever opened it. None where the services of a process share one and another has it already.
    pub closers: Vec<Closer>,
}

/// Opens the bus that `url` names: `local:data/bus.db` is a file that belongs to this process, opened once however many
/// services ask for it; `amqp://user:password@host:port/vhost` is a RabbitMQ, and the user is the service.
///
/// # Errors
/// Where the URL is not understood or not allowed here, the file can't be opened, or no broker answers within seconds.
pub async fn open(url: &str, surroundings: &Surroundings) -> Result<Opened, BusError> {
    let (bus, first): (Arc<dyn Bus>, bool) = if is_amqp(url) {
        (Arc::new(AmqpBus::open(url, Schedule::default()).await?), true)
    } else {
        let (bus, first) = share_local(url, surroundings).await?;
        (bus, first)
    };
    let closing = bus.clone();
    let closer: Closer = Box::pin(async move { closing.close().await });
    Ok(Opened { bus, closers: first.then_some(closer).into_iter().collect() })
}

fn is_amqp(url: &str) -> bool {
    url.starts_with("amqp:") || url.starts_with("amqps:")
}

/// The address of a bus among the keys of a configuration, which all services have as `bus.url`.
pub fn place(address: &Address) -> Place {
    let read = |url: &str| if is_amqp(url) { amqp::read(url).map(drop) } else { Ok(()) };
    Place::new("bus.url", address.url.expose(), &[Form::Local, Form::Amqp]).read_by(read)
}

/// The bus among what a service can't do without.
pub fn dependency(bus: &Arc<dyn Bus>) -> Dependency {
    let (asked, written) = (bus.clone(), bus.clone());
    Dependency::new("bus", move || {
        let bus = asked.clone();
        async move { bus.ping().await }
    })
    .that_writes(move || {
        let bus = written.clone();
        async move { bus.try_write().await }
    })
}

/// Opens the local bus that `url` names, with what only it can tell: its dead letters and the depth of its queues.
///
/// # Errors
/// Where the URL is not understood or not allowed here, or the file can't be opened.
pub async fn open_local(url: &str, surroundings: &Surroundings) -> Result<Arc<BusLocal>, BusError> {
    Ok(share_local(url, surroundings).await?.0)
}

/// The local bus, and whether it was opened just now.
async fn share_local(url: &str, surroundings: &Surroundings) -> Result<(Arc<BusLocal>, bool), BusError> {
    let path = url.strip_prefix("local:").filter(|path| !path.is_empty() && !path.starts_with("//"));
    let Some(path) = path else {
        return Err(BusError::Url(format!("{url:?} is no address of a bus such as local:data/bus.db")));
    };
    if !surroundings.allows_in_process() {
        return Err(BusError::Url(format!(
            "{url} joins services of one process and this one is on its own: set its bus.url to an amqp:// address"
        )));
    }
    let (clock, first) = (surroundings.clock.clone(), AtomicBool::new(false));
    let opening = || {
        first.store(true, Ordering::Relaxed);
        BusLocal::open(path, clock, Schedule::default())
    };
    let bus = surroundings.shared(path, opening).await?;
    Ok((bus, first.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bus_that_services_share_is_closed_by_whoever_opened_it_and_nobody_else() {
        let folder = testkit::Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let surroundings = Surroundings::one_process();
        let first = open(&url, &surroundings).await.expect("opens");
        let second = open(&url, &surroundings).await.expect("is shared");
        assert_eq!((first.closers.len(), second.closers.len()), (1, 0));
        for closer in first.closers {
            closer.await;
        }
        assert!(second.bus.ping().await.is_err(), "it is closed for all");
    }

    #[test]
    fn an_address_that_the_driver_can_not_read_is_refused_before_anything_is_opened() {
        use chassis::config::Profile;

        let fault = |url: &str| place(&Address { url: url.into() }).fault(Profile::Development, true);
        assert_eq!(fault("amqp://users:pw@broker:5672/portal"), None);
        for bad in [
            "amqp://users:s3cret@broker:port/portal",
            "amqp://users:s3cret@broker/portal?heartbeat=often",
            "redis://x",
        ] {
            let fault = fault(bad).unwrap_or_else(|| panic!("{bad} passed"));
            assert!(fault.starts_with("bus.url") && !fault.contains("s3cret"), "{fault}");
        }
    }
}
