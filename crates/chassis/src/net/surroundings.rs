use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use kernel::{Clock, Ids, SystemClock, TimeOrderedIds};
use tokio::sync::OnceCell;
use tonic::service::Routes;

use crate::transport::{Transport, TransportError};

/// What a service finds around it when it is built: the time, new ids, and whatever else lives in the same process.
///
/// A service never asks in which shape it runs. It has URLs; `inproc:` and `local:` ones are answered from here, at the
/// first call, so that the order in which services are built does not matter.
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
    /// A process that holds several services: they reach each other without a network.
    pub fn one_process() -> Self {
        Self { neighbours: Some(Arc::default()), ..Self::alone() }
    }

    /// A service in a process of its own.
    pub fn alone() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { ids: Arc::new(TimeOrderedIds::new(clock.clone())), clock, neighbours: None }
    }

    /// The same with another clock, and ids that carry its time.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.ids = Arc::new(TimeOrderedIds::new(clock.clone()));
        self.clock = clock;
        self
    }

    /// The same with another source of ids.
    pub fn with_ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// True where `inproc:` and `local:` URLs can be answered.
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

    /// The HTTP routes of a neighbour, once it has registered them.
    pub fn http(&self, name: &str) -> Option<Router> {
        lock(&self.neighbours.as_ref()?.http).get(name).cloned()
    }

    /// The gRPC services of a neighbour, once it has registered them.
    pub fn grpc(&self, name: &str) -> Option<Router> {
        lock(&self.neighbours.as_ref()?.grpc).get(name).cloned()
    }

    /// The way to a gRPC server: `inproc://users`, or `http://users:50051`, whose name may mean several servers; several such
    /// addresses have commas between them. Nothing is connected before the first call.
    ///
    /// # Errors
    /// Where the URL can't be read, or is `inproc:` in a service that has its process to itself.
    pub fn transport(&self, url: &str) -> Result<Transport, TransportError> {
        crate::transport::open(url, self)
    }

    /// The one instance of `T` that this process has under `key`; `open` makes it at the first call.
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
            // The key holds the type's own id, so the cast can't fail; if it did, an instance of one's own is right.
            Err(_) => open().await.map(Arc::new),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
