use std::net::IpAddr;

use kernel::{Timestamp, UserId};

use super::{App, MAX_ENTRIES, TasteError};
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

    /// Returns the same for an admin who asks from this address. The look is recorded in the audit of users
    /// first: an admin sees nothing that the audit does not know of.
    ///
    /// # Errors
    /// Fails if users did not record it.
    pub async fn labels_for_admin(
        &self,
        reader: UserId,
        admin: UserId,
        from: IpAddr,
    ) -> Result<(Vec<Taste>, Timestamp), TasteError> {
        self.users.record_labels_view(reader, admin, from).await?;
        self.labels_of_reader(reader, MAX_ENTRIES).await
    }
}
