//! The subscriptions and addresses that the services of this process have declared. Documents are generated
//! from them.

use std::sync::{Mutex, PoisonError};

use super::LocalBus;
use crate::Subscription;

/// All subscriptions and served addresses, in the order in which they were declared. No entry is ever
/// removed: the list says what the program does, not what runs at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declarations {
    /// Every subscription.
    pub subscriptions: Vec<Subscription>,
    /// Every address that is served, with the service that serves it.
    pub served: Vec<(&'static str, String)>,
}

/// The store of the declarations.
#[derive(Default)]
pub(super) struct DeclarationLog(Mutex<Declarations>);

impl DeclarationLog {
    pub(super) fn add_subscription(&self, subscription: &Subscription) {
        self.lock().subscriptions.push(subscription.clone());
    }

    pub(super) fn add_address(&self, service: &'static str, address: &str) {
        self.lock().served.push((service, address.to_owned()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Declarations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalBus {
    /// Returns the subscriptions and addresses that were declared so far.
    pub fn declarations(&self) -> Declarations {
        self.declared.lock().clone()
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

    struct Ignore;

    #[async_trait]
    impl Handler for Ignore {
        async fn handle(&self, _: &Envelope) -> Result<(), Box<dyn Fault>> {
            Ok(())
        }
    }

    #[async_trait]
    impl CallHandler for Ignore {
        async fn call(&self, _: &Call) -> Result<Bytes, Box<dyn Fault>> {
            Ok(Bytes::new())
        }
    }

    #[tokio::test]
    async fn accepted_subscriptions_and_addresses_are_listed_and_refused_ones_are_not() {
        let folder = testkit::Folder::new();
        let url = format!("local:{}", folder.join("bus.db").display());
        let bus = crate::open_local(&url, &Surroundings::one_process()).await.expect("the bus opens");
        let durable = Subscription::durable("news", "news.projection", ["news.#"]);
        let broadcast = Subscription::broadcast("web", ["news.#"]);
        for subscription in [&durable, &broadcast] {
            drop(bus.subscribe(subscription.clone(), Arc::new(Ignore)).await.expect("subscribes"));
        }
        let wrong = Subscription::durable("news", "news.wrong", ["a..b"]);
        assert!(bus.subscribe(wrong, Arc::new(Ignore)).await.is_err());
        drop(bus.serve("news", "news.calls", Arc::new(Ignore)).await.expect("serves"));
        let declarations = bus.declarations();
        assert_eq!(declarations.subscriptions, [durable, broadcast]);
        assert_eq!(declarations.subscriptions[1].queue, Queue::Broadcast);
        assert_eq!(declarations.served, [("news", "news.calls".to_owned())]);
    }
}
