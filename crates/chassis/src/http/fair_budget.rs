//! A budget of which each client may hold a share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client::ClientKey;

/// A budget of units, such as bytes of memory, of which each client may hold at most a share.
///
/// Requests wait in order, first for the share of their client and then for the budget. So the requests of
/// one client that wait delay no other client. A client that holds nothing uses no memory.
#[derive(Debug)]
pub struct FairBudget {
    free: Arc<Semaphore>,
    /// The units of one client.
    share: usize,
    clients: Arc<Clients>,
}

type Clients = Mutex<HashMap<ClientKey, Weak<ClientShare>>>;

/// The units that one client does not hold yet, as long as any request of the client needs them.
#[derive(Debug)]
struct ClientShare {
    client: ClientKey,
    free: Arc<Semaphore>,
    clients: Arc<Clients>,
}

impl Drop for ClientShare {
    fn drop(&mut self) {
        let mut clients = lock(&self.clients);
        // Another request of the client may have begun a new share after this one lost its last user.
        if clients.get(&self.client).is_some_and(|share| share.strong_count() == 0) {
            clients.remove(&self.client);
        }
    }
}

/// Units of the share of a client, which do not count in the budget yet.
#[derive(Debug)]
pub struct ClientUnits {
    units: u32,
    own: Option<OwnUnits>,
}

/// Units of a [`FairBudget`]. They are returned when this is dropped.
#[derive(Debug)]
pub struct FairPermit {
    all: OwnedSemaphorePermit,
    own: Option<OwnUnits>,
}

#[derive(Debug)]
struct OwnUnits {
    permit: OwnedSemaphorePermit,
    _share: Arc<ClientShare>,
}

impl FairBudget {
    /// Creates a budget of `units`, of which one client may hold at most `share`. A client that asks for more
    /// than its share at a time waits forever.
    pub fn new(units: u32, share: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(units as usize)),
            share: share as usize,
            clients: Arc::default(),
        }
    }

    /// Takes units of the share of a client if they are free. A client that is not known has no limit of its
    /// own.
    pub fn try_take(&self, client: Option<ClientKey>, units: u32) -> Option<ClientUnits> {
        let Some(client) = client else { return Some(ClientUnits { units, own: None }) };
        let share = self.share_of(client);
        let permit = share.free.clone().try_acquire_many_owned(units).ok()?;
        Some(ClientUnits { units, own: Some(OwnUnits { permit, _share: share }) })
    }

    /// Takes units of the share of a client, and waits until they are free.
    pub async fn take(&self, client: Option<ClientKey>, units: u32) -> ClientUnits {
        let Some(client) = client else { return ClientUnits { units, own: None } };
        let share = self.share_of(client);
        let permit = share.free.clone().acquire_many_owned(units).await.expect("it is never closed");
        ClientUnits { units, own: Some(OwnUnits { permit, _share: share }) }
    }

    /// Waits until the units are also free in the budget.
    pub async fn admit(&self, taken: ClientUnits) -> FairPermit {
        let all = self.free.clone().acquire_many_owned(taken.units).await.expect("it is never closed");
        FairPermit { all, own: taken.own }
    }

    /// Returns the units that no client holds.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    fn share_of(&self, client: ClientKey) -> Arc<ClientShare> {
        let mut clients = lock(&self.clients);
        if let Some(share) = clients.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        let free = Arc::new(Semaphore::new(self.share));
        let share = Arc::new(ClientShare { client, free, clients: self.clients.clone() });
        clients.insert(client, Arc::downgrade(&share));
        share
    }
}

impl FairPermit {
    /// Returns the units above `units`.
    pub fn shrink_to(&mut self, units: usize) {
        let shrink = |permit: &mut OwnedSemaphorePermit| {
            let surplus = permit.num_permits().saturating_sub(units);
            drop(permit.split(surplus));
        };
        shrink(&mut self.all);
        if let Some(own) = &mut self.own {
            shrink(&mut own.permit);
        }
    }
}

fn lock(clients: &Clients) -> MutexGuard<'_, HashMap<ClientKey, Weak<ClientShare>>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures::FutureExt;

    use super::*;

    fn client(text: &str) -> Option<ClientKey> {
        Some(text.parse::<IpAddr>().expect("an address").into())
    }

    /// Takes units without waiting.
    fn acquire(budget: &FairBudget, from: Option<ClientKey>, units: u32) -> Option<FairPermit> {
        budget.admit(budget.try_take(from, units)?).now_or_never()
    }

    #[test]
    fn a_client_that_holds_its_share_leaves_the_rest_to_others() {
        let budget = FairBudget::new(10, 6);
        let (one, other) = (client("192.0.2.1"), client("192.0.2.2"));
        let mut held = acquire(&budget, one, 6).expect("its share");
        assert!(budget.try_take(one, 1).is_none() && budget.free() == 4);
        assert!(acquire(&budget, other, 5).is_none(), "more than the rest");
        let rest = acquire(&budget, other, 4).expect("the rest");
        assert!(acquire(&budget, client("192.0.2.3"), 1).is_none() && acquire(&budget, None, 1).is_none());
        held.shrink_to(2);
        assert_eq!(budget.free(), 4);
        assert!(budget.try_take(one, 5).is_none() && acquire(&budget, one, 4).is_some());
        drop((held, rest));
        assert!(budget.free() == 10 && lock(&budget.clients).is_empty());
    }

    #[test]
    fn requests_of_one_client_that_wait_delay_no_other_client() {
        let budget = FairBudget::new(10, 5);
        let one = client("192.0.2.1");
        let held = acquire(&budget, one, 5).expect("its share");
        let mut waiting: Vec<_> = (0..60).map(|_| Box::pin(budget.take(one, 5))).collect();
        assert!(waiting.iter_mut().all(|request| request.now_or_never().is_none()));
        assert!(acquire(&budget, client("2001:db8::1"), 5).is_some());
        drop(held);
        let next = waiting.remove(0).now_or_never().expect("the first of them is next");
        assert!(budget.admit(next).now_or_never().is_some());
        drop(waiting);
        assert!(lock(&budget.clients).is_empty());
    }

    #[test]
    fn an_unknown_client_is_limited_only_by_the_budget() {
        let budget = FairBudget::new(10, 1);
        assert!(acquire(&budget, None, 10).is_some());
        assert!(acquire(&budget, None, 11).is_none());
    }
}
