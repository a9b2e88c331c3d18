use kernel::{ArticleId, Timestamp, Version};

use super::{Correction, CorrectionKind, Slug};

/// A public correction, with the article that was corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArticleCorrection {
    /// The article.
    pub article: ArticleId,
    /// Its present title.
    pub title: String,
    /// The readable part of its address.
    pub slug: Slug,
    /// The correction.
    pub correction: Correction,
}

/// The filter of a list of corrections. An absent field lets every correction pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CorrectionFilter {
    /// Only corrections of this kind.
    pub kind: Option<CorrectionKind>,
    /// Only corrections of this time or later.
    pub from: Option<Timestamp>,
    /// Only corrections of this time or earlier.
    pub to: Option<Timestamp>,
}

/// A position in a list of corrections: the newest first, those of the same moment by article and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CorrectionPosition {
    /// The time of the correction.
    pub at: Timestamp,
    /// The article.
    pub article: ArticleId,
    /// The version that it led to.
    pub version: Version,
}

/// A part of a list of corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrectionPart {
    /// The filter.
    pub filter: CorrectionFilter,
    /// Only corrections after this position; `None` begins with the newest.
    pub after: Option<CorrectionPosition>,
    /// The most corrections.
    pub limit: u32,
}
