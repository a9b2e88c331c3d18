use kernel::{Timestamp, UserId};

use super::{App, TasteError};
use crate::domain::Taste;

impl App {
    /// Returns at most `limit` labels that a reader likes, heaviest first, and the moment for which their
    /// weights are to be computed. The list is empty if the reader is unknown or erased, or did not consent.
    pub async fn labels_of_reader(
        &self,
        reader: UserId,
        limit: u32,
    ) -> Result<(Vec<Taste>, Timestamp), TasteError> {
        Ok((self.graph.labels_of(reader, limit).await?, self.clock.now()))
    }
}
