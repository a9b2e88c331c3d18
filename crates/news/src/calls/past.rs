//! Questions about the past of an article as messages, and their answers.

use bus::Call;
use bytes::Bytes;
use kernel::{Timestamp, Version};
use prost::Message;
use proto::news::v1 as messages;

use super::{Calls, Failure, decoded, id_of, replied, unreadable};
use crate::app::{History, Which};
use crate::codec::{encode_correction, encode_retraction};
use crate::domain::{DiffOp, DiffPart, HistoryEntry, Proof, ProofLink, ProofPart};

impl Calls {
    pub(super) async fn history(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::GetHistoryRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let (id, before) = (id_of(&request.id)?, request.before.map(Version::new));
        let history = self.app.history(caller.as_ref(), id, before, request.limit).await;
        let History { page, newest } = history?;
        let reply = messages::GetHistoryReply {
            entries: page.entries.into_iter().map(entry).collect(),
            next_before: page.next.map(Version::number),
            version: newest.number(),
        };
        Ok(reply.encode_to_vec().into())
    }

    pub(super) async fn version(&self, call: &Call) -> Result<Bytes, Failure> {
        use messages::get_version_request::Which as Requested;
        let request: messages::GetVersionRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let which = match request.which.ok_or_else(|| unreadable("it names no version"))? {
            Requested::Version(number) => Which::Version(Version::new(number)),
            Requested::AtMs(millis) => Which::At(Timestamp::from_millis(millis)),
        };
        replied(self.app.version(caller.as_ref(), id_of(&request.id)?, which).await)
    }

    pub(super) async fn compare(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::DiffVersionsRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let (from, to) = (Version::new(request.from), Version::new(request.to));
        let parts = self.app.compare(caller.as_ref(), id_of(&request.id)?, from, to).await;
        let parts = parts?.into_iter().map(part).collect();
        Ok(messages::DiffVersionsReply { parts }.encode_to_vec().into())
    }

    pub(super) async fn proof(&self, call: &Call) -> Result<Bytes, Failure> {
        let request: messages::GetProofRequest = decoded(call)?;
        let caller = self.caller(call).await?;
        let part = ProofPart {
            after: request.after.map(Version::new),
            limit: request.limit,
            records: request.include_records,
        };
        let Proof { links, next } = self.app.proof(caller.as_ref(), id_of(&request.id)?, part).await?;
        let reply = messages::GetProofReply {
            links: links.into_iter().map(link).collect(),
            next_after: next.map(Version::number),
        };
        Ok(reply.encode_to_vec().into())
    }
}

fn link(link: ProofLink) -> messages::ProofLink {
    let ProofLink { version, hash, previous, record } = link;
    messages::ProofLink { version: version.number(), hash, previous, record }
}

fn entry(entry: HistoryEntry) -> messages::HistoryEntry {
    messages::HistoryEntry {
        version: entry.version.number(),
        event: entry.event.to_string(),
        by: entry.by.to_string(),
        at_ms: entry.at.millis(),
        changed: entry.changed.into_iter().map(str::to_owned).collect(),
        from_version: entry.from.map(Version::number),
        note: entry.note,
        scheduled_at_ms: entry.scheduled_at.map(Timestamp::millis),
        retraction: entry.retraction.as_ref().map(encode_retraction),
        correction: entry.correction.as_ref().map(encode_correction),
    }
}

fn part(part: DiffPart) -> messages::DiffPart {
    let op = match part.op {
        DiffOp::Equal => messages::DiffOp::Equal,
        DiffOp::Insert => messages::DiffOp::Insert,
        DiffOp::Delete => messages::DiffOp::Delete,
    };
    messages::DiffPart { field: part.field.to_owned(), op: op.into(), text: part.text }
}
