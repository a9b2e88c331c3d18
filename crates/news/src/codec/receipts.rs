//! The receipts of a section for erasures.

use std::sync::Arc;

use bus::{Envelope, MakeReceipt};
use chassis::{Context, Surroundings};
use kernel::{MessageId, Section};
use prost::Message;
use proto::erasures::v1 as messages;

/// Returns what makes the receipts of this section. A receipt continues the trace of the current work.
pub fn make_receipts(section: Section, surroundings: &Surroundings) -> MakeReceipt {
    let (clock, ids) = (surroundings.clock.clone(), surroundings.ids.clone());
    let service = section.service();
    Arc::new(move |person| {
        let at = clock.now();
        let user_id = person.to_string();
        let body = messages::ErasureReceipt {
            user_id: user_id.clone(),
            service: service.to_owned(),
            at: at.millis(),
        };
        Envelope {
            id: MessageId::new(ids.next()),
            kind: "portal.erasures.v1.ErasureReceipt".to_owned(),
            key: format!("erasures.{service}"),
            source: service.to_owned(),
            subject: user_id,
            version: 0,
            time: at,
            trace: Context::current().trace,
            body: body.encode_to_vec().into(),
        }
    })
}
