//! The subscription that invalidates the cache. Messages may arrive several times and in any order.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Envelope, Handler};
use kernel::{Fault, Kind, Refusal, Version};
use prost::Message;
use proto::users::v1::UserErased;

use crate::app::Shelf;

/// The keys: every change of an article, and every erasure.
pub const KEYS: [&str; 2] = ["news.#", "users.erased"];

/// The handler that evicts answers which an event has made wrong.
pub struct InvalidateCache(pub Arc<Shelf>);

#[async_trait]
impl Handler for InvalidateCache {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        if message.key == "users.erased" {
            let erased = UserErased::decode(message.body.clone())
                .map_err(|_| unreadable("The message can't be decoded."))?;
            self.0.person_erased(
                erased.user_id.parse().map_err(|_| unreadable("`user_id` of the message must be a UUID."))?,
            );
            return Ok(());
        }
        // The envelope contains all that is needed. The article itself may have half a megabyte.
        let section = message.key.split('.').nth(1).unwrap_or_default();
        let section =
            section.parse().map_err(|_| unreadable("The key of the message must name a section."))?;
        let id = message
            .subject
            .parse()
            .map_err(|_| unreadable("The subject of the message must be the id of an article."))?;
        self.0.article_changed(section, id, Version::new(message.version));
        Ok(())
    }
}

fn unreadable(detail: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "unreadable_message", detail)
}
