//! The bytes of answers that wait until their clients read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bounds::Bound;
use super::usage::Usage;

/// The bytes that wait for all clients of a listener.
#[derive(Debug)]
pub(super) struct Unsent {
    bytes: AtomicUsize,
    most: usize,
}

impl Unsent {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), most }
    }

    /// Counts `bytes` for a client and for all. An answer always fits if it is the only one that waits.
    pub(super) fn reserve(
        self: &Arc<Self>,
        client: Option<Arc<Usage>>,
        bytes: usize,
        most_of_one: usize,
    ) -> Result<Reserved, Bound> {
        if let Some(client) = client.as_ref().filter(|_| most_of_one > 0) {
            add(&client.unsent, bytes, most_of_one).ok_or(Bound::UnsentOfOne)?;
        } else if let Some(client) = &client {
            client.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
        if add(&self.bytes, bytes, self.most).is_none() {
            if let Some(client) = &client {
                client.unsent.fetch_sub(bytes, Ordering::Relaxed);
            }
            return Err(Bound::Unsent);
        }
        Ok(Reserved { all: self.clone(), client, bytes: AtomicUsize::new(bytes) })
    }

    /// Counts `bytes` even beyond the bounds.
    pub(super) fn reserve_anyway(self: &Arc<Self>, client: Option<Arc<Usage>>, bytes: usize) -> Reserved {
        if let Some(client) = &client {
            client.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Reserved { all: self.clone(), client, bytes: AtomicUsize::new(bytes) }
    }
}

fn add(counter: &AtomicUsize, bytes: usize, most: usize) -> Option<usize> {
    let sum = |now: usize| Some(now.saturating_add(bytes)).filter(|sum| now == 0 || *sum <= most);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).ok()
}

/// The bytes of one answer. They count until the client has read them or this value is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    all: Arc<Unsent>,
    client: Option<Arc<Usage>>,
    bytes: AtomicUsize,
}

impl Reserved {
    /// Adds bytes of an answer whose length was not known.
    pub(super) fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(client) = &self.client {
            client.unsent.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Removes bytes that the client has read.
    pub(super) fn shrink(&self, bytes: usize) {
        let cut = |now: usize| Some(now.saturating_sub(bytes));
        let before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cut).unwrap_or_default();
        self.release(before.min(bytes));
    }

    fn release(&self, bytes: usize) {
        self.all.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(client) = &self.client {
            client.unsent.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release(self.bytes.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_for_a_client_and_for_all_and_a_single_answer_always_fits() {
        let all = Arc::new(Unsent::new(1_000));
        let client = || Some(Arc::new(Usage::default()));
        let (one, other) = (client(), client());
        let large = all.reserve(one.clone(), 5_000, 600).expect("alone it fits");
        assert_eq!(all.reserve(one.clone(), 1, 600).err(), Some(Bound::UnsentOfOne));
        assert_eq!(all.reserve(other.clone(), 1, 600).err(), Some(Bound::Unsent));
        large.shrink(4_500);
        assert!(all.reserve(one.clone(), 100, 600).is_ok());
        assert_eq!(all.reserve(one, 101, 600).err(), Some(Bound::UnsentOfOne));
        assert!(all.reserve(other.clone(), 500, 600).is_ok());
        assert_eq!(all.reserve(other, 501, 0).err(), Some(Bound::Unsent));
        drop(large);
        assert_eq!(all.bytes.load(Ordering::Relaxed), 0);
    }
}
