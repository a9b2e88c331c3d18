use std::cmp::Reverse;

use kernel::Section;

use super::{App, ArticleError};
use crate::domain::{ArticleCorrection, CorrectionPosition, CorrectionSlice, Scope};

/// A slice of the list of corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionList {
    /// The corrections, the newest first.
    pub corrections: Vec<ArticleCorrection>,
    /// The position of the last one, if there are more.
    pub next: Option<CorrectionPosition>,
    /// The sections that did not answer in time or that were left out, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
}

impl App {
    /// Returns a slice of the public corrections of these sections, except the excluded ones. The sections
    /// are asked at the same time.
    ///
    /// # Errors
    /// Fails if no section answered, or if one refused the request itself.
    pub async fn list_corrections(
        &self,
        scope: Scope,
        excluded: &[Section],
        slice: &CorrectionSlice,
    ) -> Result<CorrectionList, ArticleError> {
        let sections = scope.sections().into_iter().filter(|section| !excluded.contains(section));
        // One more than the page holds shows whether there is another page.
        let widened = CorrectionSlice { limit: slice.limit + 1, ..slice.clone() };
        let asked = sections.map(|section| (section, self.sections.corrections(section, &widened)));
        let (lists, mut missing) = self.gather(false).ask(asked).await?;
        missing.extend(excluded);
        missing.sort();
        missing.dedup();
        let mut corrections: Vec<_> = lists.into_iter().flat_map(|(_, corrections)| corrections).collect();
        corrections.sort_by_key(|each| Reverse(each.position()));
        let has_more = corrections.len() > slice.limit as usize;
        corrections.truncate(slice.limit as usize);
        let next = corrections.last().map(ArticleCorrection::position).filter(|_| has_more);
        Ok(CorrectionList { corrections, next, missing })
    }
}
