use std::sync::Arc;

use super::erasure::Erasable;
use crate::work::{Closer, Dependency};

/// An open store: its port, and what a service needs to know about the database behind it.
///
/// Every function of a service that opens a store returns one. `P` is the port and `O` the outbox in the same
/// database, if there is one.
pub struct OpenedStore<P: ?Sized, O = ()> {
    /// The port.
    pub port: Arc<P>,
    /// The outbox whose messages are written in the transactions of this store.
    pub outbox: O,
    /// The duties of the database to erase persons.
    pub erasures: Vec<Arc<dyn Erasable>>,
    /// The probes for `/readyz`.
    pub dependencies: Vec<Dependency>,
    /// The futures that close the database.
    pub closers: Vec<Closer>,
}

impl<P: ?Sized> OpenedStore<P> {
    /// Wraps a port without an outbox, duties, probes or closers.
    pub fn new(port: Arc<P>) -> Self {
        Self { port, outbox: (), erasures: Vec::new(), dependencies: Vec::new(), closers: Vec::new() }
    }
}

impl<P: ?Sized, O> OpenedStore<P, O> {
    /// Adds the outbox in the same database.
    pub fn with_outbox<N>(self, outbox: N) -> OpenedStore<P, N> {
        let Self { port, erasures, dependencies, closers, outbox: _ } = self;
        OpenedStore { port, outbox, erasures, dependencies, closers }
    }

    /// Adds the duty of the database to erase persons.
    #[must_use]
    pub fn with_erasure(mut self, erasure: Arc<dyn Erasable>) -> Self {
        self.erasures.push(erasure);
        self
    }

    /// Adds a probe for `/readyz`.
    #[must_use]
    pub fn with_dependency(mut self, dependency: Dependency) -> Self {
        self.dependencies.push(dependency);
        self
    }

    /// Closes the database, when nothing uses it any more.
    pub async fn close(self) {
        for closer in self.closers {
            closer.await;
        }
    }

    /// Adds a future that closes the database.
    #[must_use]
    pub fn with_closer(mut self, closer: Closer) -> Self {
        self.closers.push(closer);
        self
    }
}
