//! The receipts of this service for erasures, as messages.

use std::sync::Arc;

use bus::{Envelope, MakeReceipt};
use chassis::{Context, Surroundings};
use kernel::MessageId;
use prost::Message;
use proto::erasures::v1 as messages;

use crate::NAME;

/// Returns what makes the receipts. A receipt continues the trace of the current work.
pub fn make_receipts(surroundings: &Surroundings) -> MakeReceipt {
    let (clock, ids) = (surroundings.clock.clone(), surroundings.ids.clone());
    Arc::new(move |reader| {
        let at = clock.now();
        let user_id = reader.to_string();
        let body =
            messages::ErasureReceipt { user_id: user_id.clone(), service: NAME.to_owned(), at: at.millis() };
        Envelope {
            id: MessageId::new(ids.next()),
            kind: "portal.erasures.v1.ErasureReceipt".to_owned(),
            key: format!("erasures.{NAME}"),
            source: NAME.to_owned(),
            subject: user_id,
            version: 0,
            time: at,
            trace: Context::current().trace,
            body: body.encode_to_vec().into(),
        }
    })
}
