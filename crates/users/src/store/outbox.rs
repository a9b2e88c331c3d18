//! The facts of this service as messages on the bus.

use bus::Envelope;
use chassis::Context;
use kernel::MessageId;
use prost::Message;
use proto::users::v1;

use crate::domain::Event;

/// The message that tells of `event`. It goes on in the trace of the running work.
pub fn envelope(id: MessageId, event: &Event) -> Envelope {
    let user_id = event.user().to_string();
    let at = event.at().millis();
    let (kind, key, version, body) = match event {
        Event::UserErased { .. } => {
            let body = v1::UserErased { user_id: user_id.clone(), at }.encode_to_vec();
            ("portal.users.v1.UserErased", "users.erased", 0, body)
        }
        Event::ConsentChanged { consent, .. } => {
            let body = v1::ConsentChanged {
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
        source: "users".to_owned(),
        subject: user_id,
        version,
        time: event.at(),
        trace: Context::current().trace,
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;
    use crate::domain::{Choice, Consent};

    fn described(event: &Event) -> String {
        let message = envelope(MessageId::new(uuid::Uuid::nil()), event);
        let hex: String = message.body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{} {} {} v{} {} {hex}\n",
            message.kind, message.key, message.source, message.version, message.time
        )
    }

    #[test]
    fn the_messages_are_those_of_the_golden_file() {
        let user = "0190163d-8694-739b-aea5-966c26f8ad91".parse().expect("an id");
        let at = Timestamp::from_millis(1_763_712_000_123);
        let choice = Choice { personalisation: true, history: true };
        let consent = Consent::default().changed_to(choice, at).expect("a change");
        let all = described(&Event::UserErased { user, at })
            + &described(&Event::ConsentChanged { user, consent, at });
        assert_eq!(all, include_str!("../../tests/golden/messages.v1.txt"));
    }
}
