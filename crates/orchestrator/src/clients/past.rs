//! Values about the past of an article as messages, and back.

use kernel::{ArticleId, Section, Timestamp, Version};
use proto::news::v1 as messages;

use super::codec::{Wrong, correction, parse, retraction};
use crate::domain::{
    ArticleCorrection, CorrectionPosition, CorrectionSlice, DiffOp, DiffPart, History, HistoryEntry, Proof,
    ProofLink, ProofSlice,
};
use crate::ports::Which;

pub(super) fn which(which: Which) -> messages::get_version_request::Which {
    use messages::get_version_request::Which as To;
    match which {
        Which::Version(version) => To::Version(version.number()),
        Which::At(at) => To::AtMs(at.millis()),
    }
}

pub(super) fn history(reply: messages::GetHistoryReply) -> Result<History, Wrong> {
    let entries = reply.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(History { entries, next: reply.next_before.map(Version::new) })
}

fn entry(from: messages::HistoryEntry) -> Result<HistoryEntry, Wrong> {
    Ok(HistoryEntry {
        version: Version::new(from.version),
        event: from.event,
        by: parse("by", &from.by)?,
        at: Timestamp::from_millis(from.at_ms),
        changed: from.changed,
        from: from.from_version.map(Version::new),
        note: from.note,
        scheduled_at: from.scheduled_at_ms.map(Timestamp::from_millis),
        retraction: from.retraction.map(retraction),
        correction: from.correction.map(correction),
    })
}

pub(super) fn diff(reply: messages::DiffVersionsReply) -> Vec<DiffPart> {
    let part = |part: messages::DiffPart| {
        let op = match part.op() {
            messages::DiffOp::Equal => DiffOp::Equal,
            messages::DiffOp::Insert => DiffOp::Insert,
            messages::DiffOp::Delete => DiffOp::Delete,
        };
        DiffPart { field: part.field, op, text: part.text }
    };
    reply.parts.into_iter().map(part).collect()
}

pub(super) fn proof_request(id: ArticleId, slice: ProofSlice) -> messages::GetProofRequest {
    let ProofSlice { after, limit, records: include_records } = slice;
    let after = after.map(Version::number);
    messages::GetProofRequest { id: id.to_string(), limit, after, include_records }
}

pub(super) fn proof(reply: messages::GetProofReply) -> Proof {
    let link = |link: messages::ProofLink| {
        let messages::ProofLink { version, hash, previous, record } = link;
        ProofLink { version: Version::new(version), hash, previous, record }
    };
    let links = reply.links.into_iter().map(link).collect();
    Proof { links, next: reply.next_after.map(Version::new) }
}

pub(super) fn corrections_request(slice: &CorrectionSlice) -> messages::ListCorrectionsRequest {
    let position = |CorrectionPosition { at, id, version }| messages::CorrectionPosition {
        at_ms: at.millis(),
        id: id.to_string(),
        version: version.number(),
    };
    messages::ListCorrectionsRequest {
        limit: slice.limit,
        after: slice.after.map(position),
        kind: slice.filter.kind.clone(),
        from_ms: slice.filter.from.map(Timestamp::millis),
        to_ms: slice.filter.to.map(Timestamp::millis),
    }
}

pub(super) fn corrections(
    section: Section,
    reply: messages::ListCorrectionsReply,
) -> Result<Vec<ArticleCorrection>, Wrong> {
    let entry = |from: messages::ArticleCorrection| -> Result<ArticleCorrection, Wrong> {
        Ok(ArticleCorrection {
            section,
            id: parse("id", &from.id)?,
            title: from.title,
            slug: from.slug,
            correction: correction(from.correction.ok_or("there is no correction")?),
        })
    };
    reply.corrections.into_iter().map(entry).collect()
}
