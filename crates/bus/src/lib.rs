#![doc = include_str!("../README.md")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::config::{Address, Form, Place};
use chassis::{Closer, Dependency, Surroundings};

#[cfg(feature = "servers")]
mod amqp;
mod envelope;
mod erasing;
mod instrument;
mod local;
pub mod metrics;
mod outbox;
mod port;
#[cfg(feature = "servers")]
pub mod postgres_outbox;
mod receiver;
mod relay;
mod row;
mod schedule;
pub mod sqlite_outbox;
mod topic;

#[cfg(test)]
mod contract;

#[cfg(feature = "servers")]
pub use amqp::AmqpBus;
pub use envelope::Envelope;
pub use erasing::{Erasing, MakeReceipt};
pub use local::{Declarations, LocalBus, QueueDepth};
pub use outbox::Outbox;
pub use port::{
    Bus, BusError, Call, CallHandler, DeadLetter, HANDLER_BUDGET, Handler, NO_SERVER, Queue, Subscription,
};
pub use relay::Relay;
pub use schedule::Schedule;
pub use topic::{InvalidPattern, Pattern};

/// A bus that was opened for one service.
pub struct OpenBus {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The steps that close the bus. Empty if services of one process share the bus and another one closes
    /// it.
    pub closers: Vec<Closer>,
}

/// Opens the bus at `url`.
///
/// * `local:data/bus.db` is a file that belongs to this process. It is opened once, however many services ask
///   for it.
/// * `amqp://user:password@host:port/vhost` is a RabbitMQ. The user is the service.
///
/// # Errors
/// If the URL is not valid or not allowed here, if the file can't be opened, or if no broker answers within
/// seconds.
pub async fn open(url: &str, surroundings: &Surroundings) -> Result<OpenBus, BusError> {
    let (bus, is_first): (Arc<dyn Bus>, bool) = match scheme(url) {
        #[cfg(feature = "servers")]
        "amqp" | "amqps" => (Arc::new(AmqpBus::open(url, Schedule::default()).await?), true),
        _ => {
            let (bus, is_first) = share_local(url, surroundings).await?;
            (bus, is_first)
        }
    };
    let to_close = bus.clone();
    let closer: Closer = Box::pin(async move { to_close.close().await });
    Ok(OpenBus { bus, closers: is_first.then_some(closer).into_iter().collect() })
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// Returns the configuration key `bus.url`, which every service has, with the addresses that it accepts.
pub fn place(address: &Address) -> Place {
    let read = |url: &str| match scheme(url) {
        #[cfg(feature = "servers")]
        "amqp" | "amqps" => amqp::parse_url(url).map(drop),
        _ => Ok::<_, BusError>(()),
    };
    Place::new("bus.url", address.url.expose(), &[Form::Local, Form::Amqp])
        .read_by(read)
        .with_drivers(cfg!(feature = "servers"))
}

/// Returns the bus as a dependency that a service can't work without.
pub fn dependency(bus: &Arc<dyn Bus>) -> Dependency {
    Dependency::of("bus", bus, |bus| bus.ping()).with_write_probe_of(bus, |bus| bus.try_write())
}

/// Opens the local bus at `url` with the methods that only this adapter has: dead letters, depths,
/// declarations.
///
/// # Errors
/// If the URL is not valid or not allowed here, or if the file can't be opened.
pub async fn open_local(url: &str, surroundings: &Surroundings) -> Result<Arc<LocalBus>, BusError> {
    Ok(share_local(url, surroundings).await?.0)
}

/// Returns the local bus, and whether this call has opened it.
async fn share_local(url: &str, surroundings: &Surroundings) -> Result<(Arc<LocalBus>, bool), BusError> {
    let path = url.strip_prefix("local:").filter(|path| !path.is_empty() && !path.starts_with("//"));
    let Some(path) = path else {
        return Err(BusError::Url(format!("{url:?} is not an address of a bus such as local:data/bus.db")));
    };
    if !surroundings.allows_in_process() {
        return Err(BusError::Url(format!(
            "{url} connects services of one process, but this service runs alone: set its bus.url to an amqp:// address"
        )));
    }
    let (clock, is_first) = (surroundings.clock.clone(), AtomicBool::new(false));
    let open = || {
        is_first.store(true, Ordering::Relaxed);
        LocalBus::open(path, clock, Schedule::default())
    };
    let bus = surroundings.shared(path, open).await?;
    Ok((bus, is_first.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shared_bus_is_closed_only_by_the_service_that_opened_it() {
        let folder = testkit::Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let surroundings = Surroundings::one_process();
        let first = open(&url, &surroundings).await.expect("the bus opens");
        let second = open(&url, &surroundings).await.expect("the bus is shared");
        assert_eq!((first.closers.len(), second.closers.len()), (1, 0));
        for closer in first.closers {
            closer.await;
        }
        assert!(second.bus.ping().await.is_err(), "it is closed for all");
    }

    #[test]
    fn an_address_that_the_driver_cannot_read_is_refused_before_anything_is_opened() {
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
