//! The subscriptions: decode a message, call `app`. The queues are `recommendations.reading` and
//! `recommendations.users`.

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

/// Subscribes to the events that this service handles. The queues exist when this returns.
///
/// # Errors
/// Fails if the bus can't create a queue.
pub async fn subscribe(bus: &dyn Bus, app: &App) -> Result<Vec<Box<dyn Runnable>>, BusError> {
    let reading = Subscription::durable(NAME, "recommendations.reading", ["reading.#"]);
    let users =
        Subscription::durable(NAME, "recommendations.users", ["users.erased", "users.consent_changed"]);
    Ok(vec![
        bus.subscribe(reading, Arc::new(ReadingConsumer { app: app.clone() })).await?,
        bus.subscribe(users, Arc::new(UsersConsumer { app: app.clone() })).await?,
    ])
}

/// The handler that counts readings.
struct ReadingConsumer {
    app: App,
}

#[async_trait]
impl Handler for ReadingConsumer {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        if message.kind != "portal.events.v1.ArticleRead" {
            log_unknown(message);
            return Ok(());
        }
        let reading = reading_from(message)?;
        let outcome = self.app.count_reading(&reading).await?;
        tracing::debug!(article = %reading.article, ?outcome, "a reading was handled");
        Ok(())
    }
}

/// The handler that follows consents and erasures of accounts.
struct UsersConsumer {
    app: App,
}

#[async_trait]
impl Handler for UsersConsumer {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        match message.kind.as_str() {
            "portal.users.v1.UserErased" => {
                let event: UserErased = decode(message)?;
                let reader = parse_user(&event.user_id)?;
                self.app.erase_reader(reader).await?;
                tracing::info!(%reader, "everything about an erased reader was deleted");
            }
            "portal.users.v1.ConsentChanged" => {
                let event: ConsentChanged = decode(message)?;
                let reader = parse_user(&event.user_id)?;
                self.app.change_consent(reader, &consent_record(&event)).await?;
                tracing::debug!(%reader, version = event.version, "a consent was stored");
            }
            _ => log_unknown(message),
        }
        Ok(())
    }
}

fn reading_from(message: &Envelope) -> Result<Reading, ReadingFault> {
    let event = ArticleRead::decode(message.body.clone()).map_err(|_| ReadingFault::Unreadable)?;
    Ok(Reading {
        message: message.id,
        reader: event.reader_id.parse().map_err(|_| ReadingFault::Unreadable)?,
        article: event.article_id.parse().map_err(|_| ReadingFault::Unreadable)?,
        labels: Reading::parse_labels(event.labels.iter().map(String::as_str))?,
        at: Timestamp::from_millis(event.at_ms),
    })
}

fn consent_record(event: &ConsentChanged) -> ConsentRecord {
    let consent = Consent { personalisation: event.personalisation, history: event.history };
    ConsentRecord { consent, version: event.version, since: Timestamp::from_millis(event.at) }
}

fn decode<M: Message + Default>(message: &Envelope) -> Result<M, Refusal> {
    M::decode(message.body.clone()).map_err(|_| unreadable("The message can't be decoded."))
}

fn parse_user(id: &str) -> Result<UserId, Refusal> {
    id.parse().map_err(|_| unreadable("`user_id` of the message must be a UUID."))
}

fn unreadable(detail: &str) -> Refusal {
    Refusal::new(Kind::Malformed, "unreadable_message", detail)
}

/// Logs a message of a kind that this release does not know. It is dropped: a later release publishes it
/// under a key that this service subscribes to.
fn log_unknown(message: &Envelope) {
    tracing::debug!(kind = message.kind, "a message of an unknown kind was ignored");
}
