//! What this service does with messages: it takes out of its cache what is no longer true. Each may be repeated, in any order.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Envelope, Handler};
use kernel::{Fault, Kind, Refusal, Version};
use prost::Message;
use proto::users::v1::UserErased;

use crate::app::Shelf;

/// What is heard: every change of an article, and every erasure.
pub const KEYS: [&str; 2] = ["news.#", "users.erased"];

/// Takes out what an announcement makes untrue.
pub struct Purge(pub Arc<Shelf>);

#[async_trait]
impl Handler for Purge {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        if message.key == "users.erased" {
            let erased =
                UserErased::decode(message.body.clone()).map_err(|_| poison("it can't be decoded"))?;
            self.0.erased(erased.user_id.parse().map_err(|_| poison("it names no account"))?);
            return Ok(());
        }
        // The envelope says all that is needed; the article itself may have half a megabyte.
        let section = message.key.split('.').nth(1).unwrap_or_default();
        let section = section.parse().map_err(|_| poison("it names no section"))?;
        let id = message.subject.parse().map_err(|_| poison("it names no article"))?;
        self.0.announced(section, id, Version::new(message.version));
        Ok(())
    }
}

fn poison(why: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "unreadable_message", why)
}
