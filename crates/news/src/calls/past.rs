//! Questions about the past of an article.

use bus::Call;
use bytes::Bytes;
use kernel::{Timestamp, Version};
use prost::Message;
use proto::news::v1 as wire;

use super::{Calls, Failure, decoded, id_of, replied, unreadable};
use crate::app::{History, Which};
use crate::domain::{DiffOp, DiffPart, Step};

impl Calls {
    pub(super) async fn history(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::GetHistoryRequest = decoded(call)?;
        let who = self.who(call).await?;
        let (id, before) = (id_of(&request.id)?, request.before.map(Version::new));
        let history = self.app.history(who.as_ref(), id, before, request.limit).await;
        let History { steps, next, newest } = history?;
        let reply = wire::GetHistoryReply {
            entries: steps.into_iter().map(entry).collect(),
            next_before: next.map(Version::number),
            version: newest.number(),
        };
        Ok(reply.encode_to_vec().into())
    }

    pub(super) async fn version(&self, call: &Call) -> Result<Bytes, Failure> {
        use wire::get_version_request::Which as Asked;
        let request: wire::GetVersionRequest = decoded(call)?;
        let who = self.who(call).await?;
        let which = match request.which.ok_or_else(|| unreadable("it names no version"))? {
            Asked::Version(number) => Which::Version(Version::new(number)),
            Asked::AtMs(millis) => Which::At(Timestamp::from_millis(millis)),
        };
        replied(self.app.version(who.as_ref(), id_of(&request.id)?, which).await)
    }

    pub(super) async fn compare(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: wire::DiffVersionsRequest = decoded(call)?;
        let who = self.who(call).await?;
        let (from, to) = (Version::new(request.from), Version::new(request.to));
        let parts = self.app.compare(who.as_ref(), id_of(&request.id)?, from, to).await;
        let parts = parts?.into_iter().map(part).collect();
        Ok(wire::DiffVersionsReply { parts }.encode_to_vec().into())
    }
}

fn entry(step: Step) -> wire::HistoryEntry {
    wire::HistoryEntry {
        version: step.version.number(),
        event: step.event.to_string(),
        by: step.by.to_string(),
        at_ms: step.at.millis(),
        changed: step.changed.into_iter().map(str::to_owned).collect(),
        from_version: step.from.map(Version::number),
    }
}

fn part(part: DiffPart) -> wire::DiffPart {
    let op = match part.op {
        DiffOp::Equal => wire::DiffOp::Equal,
        DiffOp::Insert => wire::DiffOp::Insert,
        DiffOp::Delete => wire::DiffOp::Delete,
    };
    wire::DiffPart { field: part.field.to_owned(), op: op.into(), text: part.text }
}
