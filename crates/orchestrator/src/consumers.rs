//! The subscription to everything that changes what readers see. Messages may arrive several times and in any
//! order.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Envelope, Handler};
use kernel::{ArticleId, Fault, Kind, Refusal, Section, Timestamp, Version};
use prost::Message;
use proto::news::v1::ArticlePublished;
use proto::users::v1::UserErased;

use crate::app::{Live, Shelf};
use crate::domain::{Headline, LiveEvent, LiveKind, State};

/// The keys: every change of an article, and every erasure.
pub const KEYS: [&str; 2] = ["news.#", "users.erased"];

/// The handler that evicts answers which an event has made wrong, and then publishes the live event. In this
/// order, because a reader who hears of a change asks for the article. The section's view may follow a moment
/// later, so the reader names the version (`?min_version`).
pub struct FollowEvents {
    /// The cache.
    pub shelf: Arc<Shelf>,
    /// The live events.
    pub live: Arc<Live>,
}

#[async_trait]
impl Handler for FollowEvents {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        if message.key == "users.erased" {
            let erased = UserErased::decode(message.body.clone())
                .map_err(|_| unreadable("The message can't be decoded."))?;
            self.shelf.person_erased(
                erased.user_id.parse().map_err(|_| unreadable("`user_id` of the message must be a UUID."))?,
            );
            return Ok(());
        }
        let mut key = message.key.split('.').skip(1);
        let (section, event) = (key.next().unwrap_or_default(), key.next().unwrap_or_default());
        let section =
            section.parse().map_err(|_| unreadable("The key of the message must name a section."))?;
        let id = message
            .subject
            .parse()
            .map_err(|_| unreadable("The subject of the message must be the id of an article."))?;
        self.shelf.article_changed(section, id, Version::new(message.version));
        if let Some(event) = live_event(message, section, id, event)? {
            self.live.publish(event);
        }
        Ok(())
    }
}

/// Returns the event for readers; `None` if they do not see it.
fn live_event(
    message: &Envelope,
    section: Section,
    article: ArticleId,
    event: &str,
) -> Result<Option<LiveEvent>, Refusal> {
    // Only a restored article may be public or not. Other bodies, of up to a megabyte, are decoded only if
    // readers see the event.
    if LiveKind::of_event(event, true).is_none() {
        return Ok(None);
    }
    // All events of articles have the same form.
    let change = ArticlePublished::decode(message.body.clone())
        .ok()
        .and_then(|event| event.change)
        .ok_or_else(|| unreadable("The message can't be decoded."))?;
    let Some(changed) = change.article else { return Err(unreadable("The message contains no article.")) };
    let is_public = State::new(changed.state).is_public();
    let Some(kind) = LiveKind::of_event(event, is_public) else { return Ok(None) };
    let headline = Headline { title: changed.title, slug: changed.slug };
    Ok(Some(LiveEvent {
        id: message.id,
        kind,
        section,
        article,
        version: Version::new(message.version),
        headline: Some(headline).filter(|_| is_public && !kind.withdraws()),
        at: Timestamp::from_millis(change.at_ms),
    }))
}

fn unreadable(detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "unreadable_message", detail)
}
