//! The connections of the driver, counted by its events, because it has no other way to count them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chassis::metrics::{Pool, WatchedPool, watch_pool};
use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;

#[derive(Default)]
struct Connections {
    open: AtomicU32,
    used: AtomicU32,
}

impl Connections {
    fn count(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => _ = self.open.fetch_add(1, Ordering::Relaxed),
            CmapEvent::ConnectionClosed(_) => decrement(&self.open),
            CmapEvent::ConnectionCheckedOut(_) => _ = self.used.fetch_add(1, Ordering::Relaxed),
            CmapEvent::ConnectionCheckedIn(_) => decrement(&self.used),
            _ => {}
        }
    }

    fn pool(&self, most: u32) -> Pool {
        let open = self.open.load(Ordering::Relaxed);
        Pool { open, idle: open.saturating_sub(self.used.load(Ordering::Relaxed)), most }
    }
}

fn decrement(count: &AtomicU32) {
    // Each server has a pool of its own, and their events have no common order. So the count stops at 0.
    let _was_zero = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
}

/// Shows the connections of a client in the metrics. Returns the event handler for the client's options.
pub(super) fn watch(service: &str, most: u32) -> (EventHandler<CmapEvent>, WatchedPool) {
    let connections = Arc::new(Connections::default());
    let counted = connections.clone();
    let watched = watch_pool(format!("{service}:mongodb"), move || connections.pool(most));
    (EventHandler::callback(move |event| counted.count(&event)), watched)
}
