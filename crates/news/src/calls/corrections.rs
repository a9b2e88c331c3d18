//! Questions about public corrections as messages, and their answers.

use bus::Call;
use bytes::Bytes;
use kernel::{FieldFault, Kind, Refusal, Timestamp, Version};
use prost::Message;
use proto::news::v1 as messages;

use super::{Calls, Failure, decoded, unreadable};
use crate::codec::encode_correction;
use crate::domain::{
    ArticleCorrection, CorrectionFilter, CorrectionKind, CorrectionPart, CorrectionPosition,
};

impl Calls {
    pub(super) async fn corrections(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::ListCorrectionsRequest = decoded(call)?;
        let part = CorrectionPart {
            filter: CorrectionFilter {
                kind: request.kind.as_deref().map(kind).transpose()?,
                from: request.from_ms.map(Timestamp::from_millis),
                to: request.to_ms.map(Timestamp::from_millis),
            },
            after: request.after.map(position).transpose()?,
            limit: request.limit,
        };
        let corrections = self.app.corrections(&part).await?.iter().map(encode).collect();
        Ok(messages::ListCorrectionsReply { corrections }.encode_to_vec().into())
    }
}

fn kind(name: &str) -> Result<CorrectionKind, Refusal> {
    name.parse().map_err(|_| {
        let known = CorrectionKind::ALL.map(CorrectionKind::as_str).join(", ");
        let fault = FieldFault::new("/kind", "unknown_name", format!("must be one of {known}"));
        Refusal::new(Kind::Invalid, "invalid", "A kind is unknown; see errors.").with_fields(vec![fault])
    })
}

fn position(after: messages::CorrectionPosition) -> Result<CorrectionPosition, Refusal> {
    Ok(CorrectionPosition {
        at: Timestamp::from_millis(after.at_ms),
        article: after.id.parse().map_err(|_| unreadable("its position has no id"))?,
        version: Version::new(after.version),
    })
}

fn encode(corrected: &ArticleCorrection) -> messages::ArticleCorrection {
    messages::ArticleCorrection {
        id: corrected.article.to_string(),
        title: corrected.title.clone(),
        slug: corrected.slug.to_string(),
        correction: Some(encode_correction(&corrected.correction)),
    }
}
