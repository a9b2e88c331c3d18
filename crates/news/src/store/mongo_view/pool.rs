//! The driver's connections, counted by what it says of them: it can't be asked.

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
    fn hear(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => _ = self.open.fetch_add(1, Ordering::Relaxed),
            CmapEvent::ConnectionClosed(_) => less(&self.open),
            CmapEvent::ConnectionCheckedOut(_) => _ = self.used.fetch_add(1, Ordering::Relaxed),
            CmapEvent::ConnectionCheckedIn(_) => less(&self.used),
            _ => {}
        }
    }

    fn seen(&self, most: u32) -> Pool {
        let open = self.open.load(Ordering::Relaxed);
        Pool { open, idle: open.saturating_sub(self.used.load(Ordering::Relaxed)), most }
    }
}

fn less(count: &AtomicU32) {
    // Several servers have a pool each, and their events no common order: it never goes below nothing.
    let _nothing_left =
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
}

/// Shows the connections of a client in the metrics. The handler goes into its options.
pub(super) fn watch(service: &str, most: u32) -> (EventHandler<CmapEvent>, WatchedPool) {
    let connections = Arc::new(Connections::default());
    let told = connections.clone();
    let watched = watch_pool(format!("{service}:mongodb"), move || connections.seen(most));
    (EventHandler::callback(move |event| told.hear(&event)), watched)
}
