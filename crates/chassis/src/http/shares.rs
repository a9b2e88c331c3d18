//! The share of a listener that one client may use at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::ClientKey;

/// Counts the units that each client holds. A client that holds nothing uses no memory.
#[derive(Debug)]
pub(crate) struct Shares {
    /// The maximum number of units of one client; 0 means no limit.
    limit: usize,
    held: Mutex<HashMap<ClientKey, usize>>,
}

impl Shares {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default() })
    }

    /// Takes one unit for a client until the guard is dropped; `None` if its share is used up. An unknown
    /// client has no limit.
    pub(super) fn take(self: &Arc<Self>, client: Option<ClientKey>) -> Option<Share> {
        let Some(client) = client.filter(|_| self.limit > 0) else { return Some(Share(None)) };
        let mut held = self.lock();
        let own = held.entry(client).or_default();
        if *own >= self.limit {
            return None;
        }
        *own += 1;
        drop(held);
        Some(Share(Some((self.clone(), client))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientKey, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A unit that a client holds.
#[derive(Debug)]
pub(crate) struct Share(Option<(Arc<Shares>, ClientKey)>);

impl Drop for Share {
    fn drop(&mut self) {
        let Some((shares, client)) = &self.0 else { return };
        let mut held = shares.lock();
        if let Some(own) = held.get_mut(client) {
            *own -= 1;
            if *own == 0 {
                held.remove(client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(text: &str) -> Option<ClientKey> {
        Some(text.parse::<IpAddr>().expect("an address").into())
    }

    #[test]
    fn each_client_has_its_own_share_and_returned_units_are_free_again() {
        let shares = Shares::new(2);
        let take = |from| shares.take(client(from));
        let (first, second) = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(first.is_some() && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some() && shares.take(None).is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        drop(second);
        assert!(shares.lock().is_empty(), "a client that holds nothing uses no memory");
    }

    #[test]
    fn zero_means_no_limit() {
        let shares = Shares::new(0);
        let all: Vec<_> = (0..1_000).map(|_| shares.take(client("192.0.2.1"))).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
