use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::Context;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::{Answer, Key};

type Making = Shared<BoxFuture<'static, Answer>>;

/// What is being made at this moment. Whoever wants the same waits for it; it is driven by those who wait, and dropped with the last
/// of them.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Key, Flight>>>);

struct Flight {
    making: WeakShared<BoxFuture<'static, Answer>>,
    // What had been heard when it began.
    began: u64,
}

impl Flights {
    /// What others are making already, or else `making`. What began before something was heard that is known now is not good enough:
    /// whoever has just written must not get what was read before.
    pub async fn join(
        &self,
        key: &Key,
        began: u64,
        making: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let joined = {
            let mut flights = self.flights();
            let there = flights.get(key).filter(|flight| flight.began >= began);
            match there.and_then(|flight| flight.making.upgrade()) {
                Some(making) => making,
                None => {
                    let making = self.begin(key, began, making);
                    if let Some(weak) = making.downgrade() {
                        flights.insert(key.clone(), Flight { making: weak, began });
                    }
                    making
                }
            }
        };
        joined.await
    }

    /// Whoever polls it, it runs in the context (deadline, trace) of the request that began it.
    fn begin(&self, key: &Key, began: u64, making: impl Future<Output = Answer> + Send + 'static) -> Making {
        let end = End { flights: self.clone(), key: key.clone(), began };
        let making = async move {
            let answer = making.await;
            drop(end);
            answer
        };
        Context::current().scope(making).boxed().shared()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        // Nothing that holds the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list when it ends, also where it ends because nobody waits any more.
struct End {
    flights: Flights,
    key: Key,
    began: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(&self.key).is_some_and(|flight| flight.began == self.began) {
            flights.remove(&self.key);
        }
    }
}
