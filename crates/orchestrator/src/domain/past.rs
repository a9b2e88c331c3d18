use kernel::{Timestamp, UserId, Version};

/// What happened to an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The newest first.
    pub steps: Vec<Step>,
    /// Older ones are before this version; `None` where there are none.
    pub next: Option<Version>,
}

/// One step in the life of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The version that it led to.
    pub version: Version,
    /// What happened: `drafted`, `edited`, `published` and so on. The section knows which there are.
    pub event: String,
    /// Who did it: an id and never a name.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// The fields that it changed.
    pub changed: Vec<String>,
    /// The version whose text came back, where an older one was restored.
    pub from: Option<Version>,
}

/// Where words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffOp {
    /// In both versions.
    Equal,
    /// In the new one only.
    Insert,
    /// In the old one only.
    Delete,
}

/// A run of words of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffPart {
    /// The field.
    pub field: String,
    /// Where they stand.
    pub op: DiffOp,
    /// The words.
    pub text: String,
}
