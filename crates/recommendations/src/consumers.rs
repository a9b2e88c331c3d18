//! What comes over the bus: decode → app. The queues are `recommendations.reading` and `recommendations.users`.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, BusError, Envelope, Handler, Subscription};
use chassis::Runnable;
use kernel::{Fault, Kind, Refusal, Timestamp, UserId};
use prost::Message;
use proto::events::v1::ArticleRead;
use proto::users::v1::{ConsentChanged, UserErased};

use crate::NAME;
use crate::app::App;
use crate::domain::{Consent, ConsentRecord, Reading, ReadingFault};

/// Subscribes to what this service wants to know. The queues exist when this returns.
///
/// # Errors
/// Where the bus can't make a queue.
pub async fn subscribe(bus: &dyn Bus, app: &App) -> Result<Vec<Box<dyn Runnable>>, BusError> {
    let reading = Subscription::durable(NAME, "recommendations.reading", ["reading.#"]);
    let users =
        Subscription::durable(NAME, "recommendations.users", ["users.erased", "users.consent_changed"]);
    Ok(vec![
        bus.subscribe(reading, Arc::new(ReadingConsumer::new(app.clone()))).await?,
        bus.subscribe(users, Arc::new(UsersConsumer::new(app.clone()))).await?,
    ])
}

/// Counts what readers read.
pub struct ReadingConsumer {
    app: App,
}

impl ReadingConsumer {
    /// A consumer that tells `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for ReadingConsumer {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        if message.kind != "portal.events.v1.ArticleRead" {
            unknown(message);
            return Ok(());
        }
        let reading = reading(message)?;
        let outcome = self.app.count_reading(&reading).await?;
        tracing::debug!(article = %reading.article, ?outcome, "a reading was handled");
        Ok(())
    }
}

/// Follows what happens to accounts.
pub struct UsersConsumer {
    app: App,
}

impl UsersConsumer {
    /// A consumer that tells `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for UsersConsumer {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        match message.kind.as_str() {
            "portal.users.v1.UserErased" => {
                let told: UserErased = decoded(message)?;
                let reader = user(&told.user_id)?;
                self.app.erase_reader(reader).await?;
                tracing::info!(%reader, "everything about an erased reader was deleted");
            }
            "portal.users.v1.ConsentChanged" => {
                let told: ConsentChanged = decoded(message)?;
                let reader = user(&told.user_id)?;
                self.app.change_consent(reader, &record(&told)).await?;
                tracing::debug!(%reader, version = told.version, "a consent was put on record");
            }
            _ => unknown(message),
        }
        Ok(())
    }
}

fn reading(message: &Envelope) -> Result<Reading, ReadingFault> {
    let told = ArticleRead::decode(message.body.clone()).map_err(|_| ReadingFault::Unreadable)?;
    Ok(Reading {
        message: message.id,
        reader: told.reader_id.parse().map_err(|_| ReadingFault::Unreadable)?,
        article: told.article_id.parse().map_err(|_| ReadingFault::Unreadable)?,
        labels: Reading::labels(told.labels.iter().map(String::as_str))?,
        at: Timestamp::from_millis(told.at_ms),
    })
}

fn record(told: &ConsentChanged) -> ConsentRecord {
    let consent = Consent { personalisation: told.personalisation, history: told.history };
    ConsentRecord { consent, version: told.version, since: Timestamp::from_millis(told.at) }
}

fn decoded<M: Message + Default>(message: &Envelope) -> Result<M, Refusal> {
    M::decode(message.body.clone()).map_err(|_| unreadable("the message can't be decoded"))
}

fn user(id: &str) -> Result<UserId, Refusal> {
    id.parse().map_err(|_| unreadable("the message names no account"))
}

fn unreadable(detail: &str) -> Refusal {
    Refusal::new(Kind::Malformed, "unreadable_message", detail)
}

/// A kind of a later release under a key that we follow: nothing to do, and no reason to keep it.
fn unknown(message: &Envelope) {
    tracing::debug!(kind = message.kind, "a message of an unknown kind was left alone");
}
