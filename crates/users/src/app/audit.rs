use std::net::IpAddr;

use kernel::{Class, Fault, Kind, UserId};

use super::{App, UserError};
use crate::domain::{AuditCursor, AuditEntry, AuditFilter, AuditKind, InvalidCursor};
use crate::ports::UserStoreError;

impl Fault for InvalidCursor {
    fn classify(&self) -> Class<'_> {
        Class::own(Kind::Invalid, "bad_cursor")
    }
}

/// A request for a page of the audit.
pub struct AuditRequest {
    /// The entries that it wants.
    pub filter: AuditFilter,
    /// The position after which the page begins; from the newest entry if there is none.
    pub cursor: Option<AuditCursor>,
    /// The most entries.
    pub limit: u32,
}

/// A page of the audit.
pub struct AuditPage {
    /// The entries, the newest first.
    pub entries: Vec<AuditEntry>,
    /// The cursor of the next page; `None` at the end of the audit.
    pub next: Option<AuditCursor>,
}

impl App {
    /// Returns a page of the audit.
    pub async fn audit(&self, request: &AuditRequest) -> Result<AuditPage, UserError> {
        let AuditRequest { filter, cursor, limit } = request;
        // One more entry than the page has says whether there is a next page.
        let found = self.audit.entries(filter, *cursor, limit + 1).await.map_err(UserStoreError::from)?;
        let has_more = found.len() > *limit as usize;
        let entries: Vec<AuditEntry> = found.into_iter().take(*limit as usize).collect();
        let next = entries.last().filter(|_| has_more).map(AuditCursor::of);
        Ok(AuditPage { entries, next })
    }

    /// Records that an admin, from this address, looks at the labels of a person.
    pub async fn record_labels_view(
        &self,
        reader: UserId,
        admin: UserId,
        from: IpAddr,
    ) -> Result<(), UserError> {
        let origin = self.origin(Some(admin), from);
        let recorded = self.audit.record(AuditKind::LabelsViewed, reader, &origin).await;
        Ok(recorded.map_err(UserStoreError::from)?)
    }

    /// Deletes expired entries of the audit, at most `most`. Returns their number.
    pub async fn delete_audit_entries(&self, most: u32) -> Result<u64, UserError> {
        let before = self.clock.now().minus(self.audit_life);
        Ok(self.audit.delete_entries(before, most).await.map_err(UserStoreError::from)?)
    }
}
