use kernel::{Timestamp, UserId};

use super::{App, TasteError};
use crate::domain::Taste;

impl App {
    /// What a reader likes, heaviest first and at most `limit` labels, and the moment for which the weights are to be
    /// computed. A reader who is unknown, erased or without consent likes nothing.
    pub async fn labels_of_reader(
        &self,
        reader: UserId,
        limit: u32,
    ) -> Result<(Vec<Taste>, Timestamp), TasteError> {
        Ok((self.graph.labels_of(reader, limit).await?, self.clock.now()))
    }
}
