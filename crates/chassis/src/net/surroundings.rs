use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use kernel::{Clock, Ids, SystemClock, TimeOrderedIds};
use tokio::sync::OnceCell;
use tonic::service::Routes;

/// The surroundings of a service when it is built: the time, new ids, and its neighbours in the same process.
///
/// A service never asks in which shape it runs. It has URLs. Those with `inproc:` and `local:` are resolved
/// here at the first call, so the order in which services are built does not matter.
#[derive(Clone)]
pub struct Surroundings {
    /// The only source of the present.
    pub clock: Arc<dyn Clock>,
    /// The only source of ids.
    pub ids: Arc<dyn Ids>,
    neighbours: Option<Arc<Neighbours>>,
}

#[derive(Default)]
struct Neighbours {
    http: Mutex<HashMap<&'static str, Router>>,
    grpc: Mutex<HashMap<&'static str, Router>>,
    shared: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Surroundings {
    /// The surroundings of several services in one process, which reach each other without a network.
    pub fn one_process() -> Self {
        Self { neighbours: Some(Arc::default()), ..Self::alone() }
    }

    /// The surroundings of a service in a process of its own.
    pub fn alone() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { ids: Arc::new(TimeOrderedIds::new(clock.clone())), clock, neighbours: None }
    }

    /// Replaces the clock, and the ids by ids that carry its time.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.ids = Arc::new(TimeOrderedIds::new(clock.clone()));
        self.clock = clock;
        self
    }

    /// Replaces the source of ids.
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// True if `inproc:` and `local:` URLs can be used.
    pub fn allows_in_process(&self) -> bool {
        self.neighbours.is_some()
    }

    /// Makes the HTTP routes of `name` reachable as `inproc://name`.
    pub fn register_http(&self, name: &'static str, router: Router) {
        if let Some(neighbours) = &self.neighbours {
            lock(&neighbours.http).insert(name, router);
        }
    }

    /// Makes the gRPC services of `name` reachable as `inproc://name`.
    pub fn register_grpc(&self, name: &'static str, routes: Routes) {
        if let Some(neighbours) = &self.neighbours {
            lock(&neighbours.grpc).insert(name, routes.into_axum_router());
        }
    }

    /// Returns the HTTP routes of a neighbour, once it has registered them.
    pub fn http(&self, name: &str) -> Option<Router> {
        lock(&self.neighbours.as_ref()?.http).get(name).cloned()
    }

    /// Returns the gRPC services of a neighbour, once it has registered them.
    pub fn grpc(&self, name: &str) -> Option<Router> {
        lock(&self.neighbours.as_ref()?.grpc).get(name).cloned()
    }

    /// Returns the one instance of `T` that this process has under `key`. `open` creates it at the first
    /// call.
    pub async fn shared<T, E, F>(&self, key: &str, open: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let Some(neighbours) = &self.neighbours else { return open().await.map(Arc::new) };
        let place = {
            let mut shared = lock(&neighbours.shared);
            let place = shared
                .entry((TypeId::of::<T>(), key.to_owned()))
                .or_insert_with(|| Arc::new(OnceCell::<Arc<T>>::new()));
            place.clone().downcast::<OnceCell<Arc<T>>>()
        };
        match place {
            Ok(cell) => cell.get_or_try_init(|| async { open().await.map(Arc::new) }).await.cloned(),
            // The key holds the id of the type, so the cast can't fail. If it did, a separate instance would
            // be right.
            Err(_) => open().await.map(Arc::new),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
