//! The handlers of messages: decode, call `app`. The effect of a repeated message is one.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{Bus, BusError, Envelope, Handler, Subscription};
use chassis::Runnable;
use kernel::{Fault, Kind, Refusal, Timestamp, UserId};
use prost::Message;
use proto::erasures::v1::ErasureReceipt;

use crate::NAME;
use crate::app::App;
use crate::domain::Receipt;

/// Subscribes to the receipts of erasures. The queue exists when this returns.
///
/// # Errors
/// If the bus can't create the queue.
pub async fn subscribe(bus: &dyn Bus, app: Arc<App>) -> Result<Vec<Box<dyn Runnable>>, BusError> {
    let receipts = Subscription::durable(NAME, "users.erasures", ["erasures.#"]);
    Ok(vec![bus.subscribe(receipts, Arc::new(ReceiptConsumer(app))).await?])
}

/// The handler of receipts.
struct ReceiptConsumer(Arc<App>);

#[async_trait]
impl Handler for ReceiptConsumer {
    async fn handle(&self, message: &Envelope) -> Result<(), Box<dyn Fault>> {
        let receipt = ErasureReceipt::decode(message.body.clone())
            .map_err(|_| unreadable("The message can't be decoded."))?;
        let person: UserId =
            receipt.user_id.parse().map_err(|_| unreadable("`user_id` of the message must be a UUID."))?;
        // The broker lets a service publish under its own key only.
        if message.key != format!("erasures.{}", receipt.service) {
            return Err(unreadable("The receipt is of another service than the routing key names.").into());
        }
        let receipt = Receipt { service: receipt.service, at: Timestamp::from_millis(receipt.at) };
        self.0.record_receipt(person, &receipt).await?;
        tracing::debug!(%person, service = receipt.service, "a service has completed its part of an erasure");
        Ok(())
    }
}

/// Returns the refusal of a message that can never be handled. It goes to the dead letters with this reason.
fn unreadable(detail: &str) -> Refusal {
    Refusal::new(Kind::Malformed, "unreadable_message", detail)
}
