use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chassis::Runnable;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Envelope;
use crate::receiver::Receiver;
use crate::topic::Pattern;

/// The most messages that wait for one subscriber. It misses the messages after these.
const MAX_WAITING: usize = 1024;

/// The subscribers of broadcasts, which have no queue that outlives the process.
#[derive(Default)]
pub(super) struct Broadcasts {
    subscribers: Mutex<Vec<Subscriber>>,
}

struct Subscriber {
    patterns: Vec<Pattern>,
    sender: mpsc::Sender<Arc<Envelope>>,
    missed: Arc<AtomicU64>,
}

impl Broadcasts {
    /// Adds a subscriber and returns its listener.
    pub(super) fn subscribe(&self, patterns: Vec<Pattern>, receiver: Receiver) -> Listener {
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        self.subscribers().push(Subscriber { patterns, sender, missed: missed.clone() });
        Listener { messages, missed, receiver }
    }

    /// Sends a message to its subscribers without waiting for any of them. Returns whether there is one.
    pub(super) fn send(&self, message: &Envelope) -> bool {
        let mut subscribers = self.subscribers();
        subscribers.retain(|subscriber| !subscriber.sender.is_closed());
        let mut shared: Option<Arc<Envelope>> = None;
        for subscriber in subscribers.iter() {
            if subscriber.patterns.iter().any(|pattern| pattern.matches(&message.key)) {
                let copy = shared.get_or_insert_with(|| Arc::new(message.clone())).clone();
                if subscriber.sender.try_send(copy).is_err() {
                    subscriber.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        shared.is_some()
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listener of one subscriber. It handles broadcasts one after the other. A refused one is lost, because
/// no queue keeps it.
pub(super) struct Listener {
    messages: mpsc::Receiver<Arc<Envelope>>,
    missed: Arc<AtomicU64>,
    receiver: Receiver,
}

#[async_trait]
impl Runnable for Listener {
    fn name(&self) -> String {
        format!("{}.broadcast", self.receiver.service)
    }

    async fn run(mut self: Box<Self>, stop: CancellationToken) {
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                message = self.messages.recv() => message,
            };
            // The bus is closed, so nothing will come. The service keeps running.
            let Some(message) = message else { return stop.cancelled().await };
            let missed = self.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                tracing::warn!(
                    service = self.receiver.service,
                    missed,
                    "a subscriber was too slow and missed broadcasts"
                );
            }
            let context = self.receiver.context(&message);
            context.scope(self.receiver.handle_broadcast(&message)).await;
        }
    }
}
