use kernel::{Timestamp, UserId, Version};

use super::{Correction, Retraction};

/// The history of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The entries, newest first.
    pub entries: Vec<HistoryEntry>,
    /// The version before which older entries are found; `None` if there are none.
    pub next: Option<Version>,
}

/// One event in the history of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The version that it created.
    pub version: Version,
    /// The name of the event: `drafted`, `edited`, `published` and so on. The section defines the names.
    pub event: String,
    /// The account that caused it: an id and never a name.
    pub by: UserId,
    /// The moment of the event.
    pub at: Timestamp,
    /// The names of the changed fields.
    pub changed: Vec<String>,
    /// The version whose text was restored, if the event is a restoration.
    pub from: Option<Version>,
    /// The note of the editor, if the event is a return to the author.
    pub note: Option<String>,
    /// The moment of the publication, if the event is its scheduling.
    pub scheduled_at: Option<Timestamp>,
    /// The notice, if the event is a retraction.
    pub retraction: Option<Retraction>,
    /// The correction, if the event is one.
    pub correction: Option<Correction>,
}

/// The side of a comparison on which words occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffOp {
    /// The words are in both versions.
    Equal,
    /// The words are in the new version only.
    Insert,
    /// The words are in the old version only.
    Delete,
}

/// A run of words of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPart {
    /// The name of the field.
    pub field: String,
    /// The side on which the words occur.
    pub op: DiffOp,
    /// The words.
    pub text: String,
}
