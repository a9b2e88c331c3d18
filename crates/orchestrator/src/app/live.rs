use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::metrics::Counting;
use futures::{Stream, StreamExt, stream};
use kernel::{Clock, MessageId, Section};
use tokio::sync::broadcast::{self, Receiver, error::RecvError};

use crate::domain::LiveEvent;
use crate::metrics::{LIVE_SLOW_CLIENTS, LIVE_STREAMS};

/// The most events that may wait for one client. A client that reads more slowly is disconnected.
const WAITING: usize = 64;
/// The time for which an event can be replayed.
const REPLAYED: Duration = Duration::from_secs(300);
/// The most events that can be replayed.
const MAX_REPLAYED: usize = 10_000;
/// Two processes receive the events of different sections in different orders, at most this far apart. A
/// client that comes from another process gets the events of this time again: rather twice than never.
const DISORDER: Duration = Duration::from_secs(2);

/// The events of the last minutes, and the streams of the clients that follow them.
pub struct Live {
    // Publishing and following both hold the lock, so a client gets each event either replayed or live.
    recent: Mutex<VecDeque<Received>>,
    sender: broadcast::Sender<Arc<LiveEvent>>,
    clock: Arc<dyn Clock>,
}

struct Received {
    /// The time of the clock that never goes back.
    at: Duration,
    event: Arc<LiveEvent>,
    /// False after the article was withdrawn. The id is still known.
    is_replayed: bool,
}

/// An item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveItem {
    /// The events after the client's last one are not known here: the client reads the lists again.
    Reset,
    /// An event.
    Event(Arc<LiveEvent>),
}

impl Live {
    /// Creates the source of live events.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { recent: Mutex::default(), sender: broadcast::Sender::new(WAITING), clock }
    }

    /// Passes an event on to all clients. An event that was received before is ignored, and so is an event of
    /// a version before the withdrawal of its article. A withdrawal ends the replay of what was sent before.
    pub fn publish(&self, event: LiveEvent) {
        let now = self.clock.elapsed();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.len() >= MAX_REPLAYED || recent.front().is_some_and(|first| first.at + REPLAYED < now) {
            recent.pop_front();
        }
        let is_old = |known: &Received| {
            let known = &known.event;
            let is_withdrawn = known.article == event.article && known.kind.withdraws();
            known.id == event.id || (is_withdrawn && known.version >= event.version)
        };
        if recent.iter().any(is_old) {
            return;
        }
        if event.kind.withdraws() {
            let before = recent.iter_mut().filter(|known| known.event.article == event.article);
            before.for_each(|known| known.is_replayed = false);
        }
        let event = Arc::new(event);
        recent.push_back(Received { at: now, event: event.clone(), is_replayed: true });
        // An error says that no client listens.
        let _ = self.sender.send(event);
    }

    /// Returns the events of these sections from now on. If the client names its last event, those after it
    /// come first; a few of them may be events that the client has.
    pub fn follow(
        &self,
        sections: Vec<Section>,
        last: Option<LastEvent>,
    ) -> impl Stream<Item = LiveItem> + Send + use<> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let replayed = last.map_or_else(Vec::new, |last| replay(&recent, last));
        drop(recent);
        let following = Following { receiver, slow: LIVE_SLOW_CLIENTS.of([]), _count: OpenCount::new() };
        let live = stream::unfold(following, Following::next);
        stream::iter(replayed).chain(live).filter(move |item| {
            let wanted = match item {
                LiveItem::Reset => true,
                LiveItem::Event(event) => sections.contains(&event.section),
            };
            std::future::ready(wanted)
        })
    }
}

/// The last event of a client, as it names it: `None` if that can't be the id of any event.
pub type LastEvent = Option<MessageId>;

fn replay(recent: &VecDeque<Received>, last: LastEvent) -> Vec<LiveItem> {
    let known = recent.iter().find(|received| Some(received.event.id) == last);
    let Some(known) = known else { return vec![LiveItem::Reset] };
    let since = known.at.saturating_sub(DISORDER);
    let after = recent.iter().filter(|received| received.at >= since && Some(received.event.id) != last);
    after.filter(|it| it.is_replayed).map(|it| LiveItem::Event(it.event.clone())).collect()
}

/// The events that wait for one client.
struct Following {
    receiver: Receiver<Arc<LiveEvent>>,
    slow: Counting,
    _count: OpenCount,
}

impl Following {
    async fn next(mut self) -> Option<(LiveItem, Self)> {
        match self.receiver.recv().await {
            Ok(event) => Some((LiveItem::Event(event), self)),
            Err(RecvError::Lagged(_)) => {
                self.slow.count();
                None
            }
            Err(RecvError::Closed) => None,
        }
    }
}

/// Counts an open stream in the metric.
struct OpenCount;

impl OpenCount {
    fn new() -> Self {
        LIVE_STREAMS.change([], 1.0);
        Self
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        LIVE_STREAMS.change([], -1.0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use kernel::{ArticleId, ManualClock, Timestamp, Version};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Headline, LiveKind};

    fn message(number: u128) -> MessageId {
        MessageId::new(Uuid::from_u128(number))
    }

    fn event(number: u128, kind: LiveKind, article: u128, version: u32) -> LiveEvent {
        let headline = Headline { title: format!("Title {version}"), slug: "title".to_owned() };
        LiveEvent {
            id: message(number),
            kind,
            section: Section::Sports,
            article: ArticleId::new(Uuid::from_u128(article)),
            version: Version::new(version),
            headline: Some(headline).filter(|_| !kind.withdraws()),
            at: Timestamp::from_millis(0),
        }
    }

    fn live() -> (Live, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        (Live::new(clock.clone()), clock)
    }

    /// Returns the numbers of the events that wait in a stream; 0 is a reset.
    fn waiting(stream: impl Stream<Item = LiveItem>) -> Vec<u128> {
        let mut stream = std::pin::pin!(stream);
        let next = std::iter::from_fn(|| stream.next().now_or_never().flatten());
        next.map(|item| match item {
            LiveItem::Reset => 0,
            LiveItem::Event(event) => event.id.uuid().as_u128(),
        })
        .collect()
    }

    fn replayed(live: &Live, last: u128) -> Vec<u128> {
        waiting(live.follow(vec![Section::Sports], Some(Some(message(last)))))
    }

    #[test]
    fn a_client_gets_each_event_of_its_sections_once() {
        let (live, _) = live();
        live.publish(event(1, LiveKind::Published, 1, 2));
        let (sports, famous) =
            (live.follow(vec![Section::Sports], None), live.follow(vec![Section::Famous], None));
        for number in [2, 2, 3] {
            live.publish(event(number, LiveKind::Updated, 1, 3));
        }
        assert_eq!(waiting(sports), [2, 3]);
        assert_eq!(waiting(famous), [0; 0]);
    }

    #[test]
    fn a_client_that_comes_back_gets_what_it_missed() {
        let (live, clock) = live();
        for number in 1..=3 {
            live.publish(event(number, LiveKind::Updated, 1, 3));
            clock.advance(Duration::from_secs(10));
        }
        assert_eq!(replayed(&live, 1), [2, 3]);
        assert_eq!(replayed(&live, 3), [0; 0]);
        assert_eq!(replayed(&live, 9), [0], "an unknown id");
        assert_eq!(waiting(live.follow(Section::ALL.to_vec(), Some(None))), [0], "no id at all");
        clock.advance(REPLAYED);
        live.publish(event(4, LiveKind::Updated, 1, 3));
        assert_eq!(replayed(&live, 1), [0], "an id of more than five minutes ago");
    }

    #[test]
    fn what_another_process_may_have_sent_later_is_sent_again() {
        let (live, clock) = live();
        live.publish(event(1, LiveKind::Updated, 1, 3));
        clock.advance(Duration::from_secs(10));
        live.publish(event(2, LiveKind::Updated, 1, 4));
        clock.advance(DISORDER);
        live.publish(event(3, LiveKind::Updated, 1, 5));
        assert_eq!(replayed(&live, 3), [2]);
    }

    #[test]
    fn a_withdrawn_article_is_not_replayed_and_an_older_event_does_not_bring_it_back() {
        for kind in [LiveKind::Unpublished, LiveKind::Retracted] {
            let (live, _) = live();
            live.publish(event(1, LiveKind::Published, 1, 2));
            live.publish(event(2, LiveKind::Published, 2, 2));
            live.publish(event(3, kind, 1, 4));
            live.publish(event(4, LiveKind::Updated, 1, 3));
            assert_eq!(replayed(&live, 2), [3]);
            assert_eq!(replayed(&live, 1), [2, 3], "its id is still known");
            live.publish(event(5, LiveKind::Published, 1, 5));
            assert_eq!(replayed(&live, 3), [2, 5]);
        }
    }

    #[test]
    fn a_client_for_which_too_many_events_wait_is_disconnected() {
        let (live, _) = live();
        let (slow, fast) =
            (live.follow(vec![Section::Sports], None), live.follow(vec![Section::Sports], None));
        let mut fast = std::pin::pin!(fast);
        for number in 1..=65 {
            live.publish(event(number, LiveKind::Updated, 1, 3));
            assert!(fast.next().now_or_never().flatten().is_some(), "{number}");
        }
        let mut slow = std::pin::pin!(slow);
        assert_eq!(slow.next().now_or_never(), Some(None), "the stream ends");
        assert!(fast.next().now_or_never().is_none(), "and this one goes on");
    }

    #[test]
    fn the_events_that_can_be_replayed_are_bounded() {
        let (live, _) = live();
        for number in 1..=10_001 {
            live.publish(event(number, LiveKind::Updated, number, 3));
        }
        assert_eq!(replayed(&live, 1), [0]);
        assert_eq!(replayed(&live, 2).len(), 9_999);
    }
}
