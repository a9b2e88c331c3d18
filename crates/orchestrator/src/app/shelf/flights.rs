use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::Context;
use chassis::http::ClientKey;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::{Answer, Key};

type Making = Shared<BoxFuture<'static, Answer>>;

/// The answers that are being made. Requests for the same answer wait for it. The waiting requests drive it,
/// and it is dropped with the last of them.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<FlightKey, Flight>>>);

/// The identity of an answer that is being made, with the client for which alone it is made, if it is.
pub(super) type FlightKey = (Key, Option<ClientKey>);

struct Flight {
    making: WeakShared<BoxFuture<'static, Answer>>,
    // The sequence number of invalidations when it began.
    began: u64,
}

impl Flights {
    /// Joins the answer that is already being made, or starts `making`. An answer that began before the
    /// newest invalidation is not used: a client that has just written must not get an older state.
    pub async fn join(
        &self,
        key: &FlightKey,
        began: u64,
        making: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let shared = {
            let mut flights = self.flights();
            let current = flights.get(key).filter(|flight| flight.began >= began);
            match current.and_then(|flight| flight.making.upgrade()) {
                Some(making) => making,
                None => {
                    let making = self.start(key, began, making);
                    if let Some(weak) = making.downgrade() {
                        flights.insert(key.clone(), Flight { making: weak, began });
                    }
                    making
                }
            }
        };
        shared.await
    }

    /// Starts making an answer. It runs in the context (deadline, trace) of the request that began it, also
    /// if another polls it.
    fn start(
        &self,
        key: &FlightKey,
        began: u64,
        making: impl Future<Output = Answer> + Send + 'static,
    ) -> Making {
        let guard = RemoveOnDrop { flights: self.clone(), key: key.clone(), began };
        let making = async move {
            let answer = making.await;
            drop(guard);
            answer
        };
        Context::current().scope(making).boxed().shared()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<FlightKey, Flight>> {
        // No code that holds the lock can panic halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a flight when it ends, also if it ends because no request waits any more.
struct RemoveOnDrop {
    flights: Flights,
    key: FlightKey,
    began: u64,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(&self.key).is_some_and(|flight| flight.began == self.began) {
            flights.remove(&self.key);
        }
    }
}
