//! Events of this service as messages on the bus.

use bus::Envelope;
use chassis::Context;
use kernel::{MessageId, Timestamp, UserId};
use prost::Message;
use proto::erasures::v1::ErasureReceipt;
use proto::users::v1 as messages;

use crate::domain::Event;

/// Returns the message of `event`. It continues the trace of the current work.
pub fn envelope(id: MessageId, event: &Event) -> Envelope {
    let user_id = event.user().to_string();
    let at = event.at().millis();
    let (kind, key, version, body) = match event {
        Event::UserErased { .. } => {
            let body = messages::UserErased { user_id: user_id.clone(), at }.encode_to_vec();
            ("portal.users.v1.UserErased", "users.erased", 0, body)
        }
        Event::ConsentChanged { consent, .. } => {
            let body = messages::ConsentChanged {
                user_id: user_id.clone(),
                personalisation: consent.choice.personalisation,
                history: consent.choice.history,
                version: consent.version,
                at,
            };
            ("portal.users.v1.ConsentChanged", "users.consent_changed", consent.version, body.encode_to_vec())
        }
    };
    Envelope {
        id,
        kind: kind.to_owned(),
        key: key.to_owned(),
        source: crate::NAME.to_owned(),
        subject: user_id,
        version,
        time: event.at(),
        trace: Context::current().trace,
        body: body.into(),
    }
}

/// Returns the receipt of this service for the erasure of a person, as a message.
pub fn receipt(id: MessageId, person: UserId, at: Timestamp) -> Envelope {
    let user_id = person.to_string();
    let service = crate::NAME.to_owned();
    let body = ErasureReceipt { user_id: user_id.clone(), service, at: at.millis() };
    Envelope {
        id,
        kind: "portal.erasures.v1.ErasureReceipt".to_owned(),
        key: format!("erasures.{}", crate::NAME),
        source: crate::NAME.to_owned(),
        subject: user_id,
        version: 0,
        time: at,
        trace: Context::current().trace,
        body: body.encode_to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Consent, ConsentChoice};

    const ID: MessageId = MessageId::new(uuid::Uuid::nil());

    fn describe(message: &Envelope) -> String {
        format!(
            "{} {} {} v{} {} {}\n",
            message.kind,
            message.key,
            message.source,
            message.version,
            message.time,
            hex::encode(&message.body)
        )
    }

    #[test]
    fn the_messages_are_those_of_the_golden_file() {
        let user = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("an id");
        let at = Timestamp::from_millis(1_763_712_000_123);
        let choice = ConsentChoice { personalisation: true, history: true };
        let consent = Consent::default().changed_to(choice, at).expect("a change");
        let all = describe(&envelope(ID, &Event::UserErased { user, at }))
            + &describe(&envelope(ID, &Event::ConsentChanged { user, consent, at }));
        assert_eq!(all, include_str!("../../tests/golden/messages.v1.txt"));
        let receipt = describe(&receipt(ID, user, at));
        assert_eq!(receipt, include_str!("../../tests/golden/receipt.v1.txt"));
    }
}
