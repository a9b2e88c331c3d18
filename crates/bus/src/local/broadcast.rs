use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chassis::Runnable;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Envelope;
use crate::receiver::Receiver;
use crate::topic::Pattern;

/// How many messages wait for a subscriber before it misses some.
const WAITING: usize = 1024;

/// Who gets messages as they come, without a queue that outlives the process.
#[derive(Default)]
pub(super) struct Audience {
    members: Mutex<Vec<Member>>,
}

struct Member {
    patterns: Vec<Pattern>,
    sender: mpsc::Sender<Arc<Envelope>>,
    missed: Arc<AtomicU64>,
}

impl Audience {
    pub(super) fn join(&self, patterns: Vec<Pattern>, receiver: Receiver) -> Listener {
        let (sender, messages) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        self.members().push(Member { patterns, sender, missed: missed.clone() });
        Listener { messages, missed, receiver }
    }

    /// Passes a message to everybody who wants it, without waiting for anybody. True where somebody does.
    pub(super) fn tell(&self, message: &Envelope) -> bool {
        let mut members = self.members();
        members.retain(|member| !member.sender.is_closed());
        let mut shared: Option<Arc<Envelope>> = None;
        for member in members.iter() {
            if member.patterns.iter().any(|pattern| pattern.matches(&message.key)) {
                let copy = shared.get_or_insert_with(|| Arc::new(message.clone())).clone();
                if member.sender.try_send(copy).is_err() {
                    member.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        shared.is_some()
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives broadcasts, one after the other. A refused message is gone: there is nothing to keep it in.
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
            // The bus is gone: nothing will ever come, but the service runs on.
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
            context.scope(self.receiver.hear(&message)).await;
        }
    }
}
