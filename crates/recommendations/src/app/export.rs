use kernel::UserId;

use super::{App, TasteError};
use crate::domain::{ReaderStatus, Taste, Visit, VisitKey};

/// The most visits on a page of an export. Each has at most 20 labels of 50 characters, so a page has less
/// than 2 MiB.
pub const VISITS_PAGE: u32 = 400;
/// The most labels in an export: the heaviest ones.
const MAX_LABELS: u32 = 10_000;

impl App {
    /// Returns a page of the visits that are kept of a reader, after `after` or from the first one.
    pub async fn export_visits(
        &self,
        reader: UserId,
        after: Option<VisitKey>,
    ) -> Result<Vec<(VisitKey, Visit)>, TasteError> {
        Ok(self.graph.visits_of(reader, after, VISITS_PAGE).await?)
    }

    /// Returns the labels that a reader likes, at most 10,000, heaviest first, and whether there are more.
    pub async fn export_tastes(&self, reader: UserId) -> Result<(Vec<Taste>, bool), TasteError> {
        let mut tastes = self.graph.labels_of(reader, MAX_LABELS + 1).await?;
        let has_more = tastes.len() > MAX_LABELS as usize;
        tastes.truncate(MAX_LABELS as usize);
        Ok((tastes, has_more))
    }

    /// Returns the consent by which this service treats a reader, or `None` if it knows of none.
    pub async fn export_status(&self, reader: UserId) -> Result<Option<ReaderStatus>, TasteError> {
        Ok(self.graph.reader_status(reader).await?)
    }
}
