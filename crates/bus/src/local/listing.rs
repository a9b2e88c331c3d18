//! What the services of this process take from the bus: documents are written from it.

use std::sync::{Mutex, PoisonError};

use super::BusLocal;
use crate::Subscription;

/// Whoever asked for messages or calls, in the order in which they asked. Nobody leaves the list: it says what the program does,
/// not what runs at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Every subscription.
    pub subscriptions: Vec<Subscription>,
    /// Every address that is served, behind the service that does.
    pub served: Vec<(&'static str, String)>,
}

/// Where it is written down.
#[derive(Default)]
pub(super) struct Register(Mutex<Listing>);

impl Register {
    pub(super) fn subscribed(&self, subscription: &Subscription) {
        self.listing().subscriptions.push(subscription.clone());
    }

    pub(super) fn serves(&self, service: &'static str, address: &str) {
        self.listing().served.push((service, address.to_owned()));
    }

    fn listing(&self) -> std::sync::MutexGuard<'_, Listing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusLocal {
    /// What was asked for so far.
    pub fn listing(&self) -> Listing {
        self.register.listing().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use chassis::Surroundings;
    use kernel::Fault;

    use super::*;
    use crate::{Bus, Call, CallHandler, Envelope, Handler, Queue};

    struct Deaf;

    #[async_trait]
    impl Handler for Deaf {
        async fn handle(&self, _: &Envelope) -> Result<(), Box<dyn Fault>> {
            Ok(())
        }
    }

    #[async_trait]
    impl CallHandler for Deaf {
        async fn call(&self, _: &Call) -> Result<Bytes, Box<dyn Fault>> {
            Ok(Bytes::new())
        }
    }

    #[tokio::test]
    async fn whoever_asked_for_messages_or_calls_is_listed_and_a_refused_one_is_not() {
        let folder = testkit::Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let bus = crate::open_local(&url, &Surroundings::one_process()).await.expect("opens");
        let durable = Subscription::durable("news", "news.projection", ["news.#"]);
        let broadcast = Subscription::broadcast("web", ["news.#"]);
        for subscription in [&durable, &broadcast] {
            drop(bus.subscribe(subscription.clone(), Arc::new(Deaf)).await.expect("subscribes"));
        }
        let wrong = Subscription::durable("news", "news.wrong", ["a..b"]);
        assert!(bus.subscribe(wrong, Arc::new(Deaf)).await.is_err());
        drop(bus.serve("news", "news.calls", Arc::new(Deaf)).await.expect("serves"));
        let listing = bus.listing();
        assert_eq!(listing.subscriptions, [durable, broadcast]);
        assert_eq!(listing.subscriptions[1].queue, Queue::Broadcast);
        assert_eq!(listing.served, [("news", "news.calls".to_owned())]);
    }
}
