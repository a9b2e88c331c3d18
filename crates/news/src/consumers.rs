//! The handlers of messages: decode → app. Both effects may be repeated, in any order.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, Envelope, Handler, MakeReceipt};
use chassis::{Erasable, StoreFailure};
use kernel::{Fault, Kind, Refusal, UserId};
use prost::Message;
use proto::users::v1::UserErased;

use crate::app::App;
use crate::codec::article_of_event;
use crate::metrics::PROJECTION_LAG;

/// The projection: it puts the articles of the section's own events into the view.
pub struct Projection(pub Arc<App>);

#[async_trait]
impl Handler for Projection {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let article = article_of_event(&message.body).map_err(|error| unreadable(&error.to_string()))?;
        if article.section != self.0.section() {
            return Err(unreadable("the article belongs to another section").into());
        }
        let newer = self.0.project(&article).await?;
        if newer {
            // A repeated message is late, but readers saw the article when it came first.
            let lag = self.0.now().since(message.time);
            PROJECTION_LAG.record([article.section.as_str().into()], lag);
        }
        tracing::debug!(article = %article.id, version = article.version.number(), newer, "an article was projected");
        Ok(())
    }
}

/// The removal of the name of a person whose account was erased.
pub struct Erasure {
    app: Arc<App>,
    erasures: Vec<Arc<dyn Erasable>>,
    bus: Arc<dyn Bus>,
    receipt: MakeReceipt,
}

impl Erasure {
    /// Creates the handler. It publishes the receipt itself if the stores have nothing to wipe; otherwise the
    /// worker [`bus::Erasing`] does when they are wiped.
    pub fn new(
        app: Arc<App>,
        erasures: Vec<Arc<dyn Erasable>>,
        bus: Arc<dyn Bus>,
        receipt: MakeReceipt,
    ) -> Self {
        Self { app, erasures, bus, receipt }
    }

    /// Says whether the files of one of the stores must still be wiped of a person.
    async fn owes(&self, person: UserId) -> Result<bool, StoreFailure> {
        for store in &self.erasures {
            if store.owed().await?.contains(&person) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Handler for Erasure {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let erased = UserErased::decode(message.body.clone())
            .map_err(|_| unreadable("the message can't be decoded"))?;
        let person: UserId =
            erased.user_id.parse().map_err(|_| unreadable("the message names no account"))?;
        self.app.erase(person).await?;
        if !self.owes(person).await? {
            self.bus.publish(vec![(self.receipt)(person)]).await?;
        }
        Ok(())
    }
}

/// Returns the refusal of a message that can never be handled. It goes to the dead letters with this reason.
fn unreadable(why: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "unreadable_message", why)
}
