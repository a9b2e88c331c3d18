use std::time::Duration;

use chassis::{Context, back_off, pause};
use futures::future::join_all;
use kernel::{Timestamp, UserId};
use tokio::sync::OwnedSemaphorePermit;

use super::{App, UserError};
use crate::domain::{
    AuditEntry, AuditFilter, AuditKind, Consent, ExportPart, Origin, PartSource, Session, User,
};
use crate::ports::UserStoreError;

/// The most exports that a process makes at a time. Most need a few hundred kilobytes; the largest one (six
/// parts of 8 MiB, and the document made of them) needs 100 MB.
pub(super) const PARALLEL_EXPORTS: usize = 2;
/// The time for which arrived parts wait for the next request.
const PART_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The time of a request that is kept for this service's own parts and the answer.
const MARGIN: Duration = Duration::from_millis(400);
/// The pause before a service that is unavailable is asked again. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest of these pauses.
const MAX_PAUSE: Duration = Duration::from_millis(400);
/// The most entries of the audit in an export: the newest ones.
const MAX_ENTRIES: u32 = 10_000;

/// The command to export the data of the caller.
pub struct ExportData {
    /// The caller.
    pub person: UserId,
    /// The caller's access token, which the other services verify again.
    pub token: String,
    /// The origin of the request, for the audit.
    pub origin: Origin,
}

/// An export: the parts of this service, and the parts of other services as far as they have arrived.
pub struct Export {
    /// The account.
    pub account: User,
    /// The sessions that have not ended.
    pub sessions: Vec<Session>,
    /// The consent.
    pub consent: Consent,
    /// The entries of the audit about the person, the newest first.
    pub audit: Vec<AuditEntry>,
    /// True if older entries were left out.
    pub is_audit_cut: bool,
    /// The time of these parts.
    pub at: Timestamp,
    /// The parts of the other services.
    pub parts: Vec<ExportPart>,
    /// The place among the exports of this process. It is free again when the answer was sent.
    pub permit: OwnedSemaphorePermit,
}

impl Export {
    /// Returns the parts that have not completely arrived.
    pub fn missing(&self) -> impl Iterator<Item = PartSource> {
        self.parts.iter().filter(|part| !part.is_complete).map(|part| part.source)
    }
}

impl App {
    /// Exports the data of the caller: asks every service for its part until the deadline. Parts that have
    /// arrived by then are kept for a day, and the next request goes on from there. A complete export leaves
    /// nothing behind.
    ///
    /// # Errors
    /// `busy` if too many exports are being made; `not_found` if the account was erased meanwhile.
    pub async fn export(&self, command: ExportData) -> Result<Export, UserError> {
        let ExportData { person, token, origin } = command;
        let permit = self.exporting.clone().try_acquire_owned().map_err(|_| UserError::Busy)?;
        self.settle(person).await?;
        let since = origin.at.minus(PART_LIFE);
        let kept = self.exports.export_parts(person, since).await.map_err(UserStoreError::from)?;
        if kept.is_empty() {
            // Nothing is exported without an entry.
            let recorded = self.audit.record(AuditKind::ExportRequested, person, &origin).await;
            recorded.map_err(UserStoreError::from)?;
        }
        let mut parts = ExportPart::all_begun(origin.at);
        for part in &mut parts {
            if let Some(kept) = kept.iter().find(|kept| kept.source == part.source) {
                part.clone_from(kept);
            }
        }
        self.gather(&mut parts, &token).await;
        self.keep_or_discard(person, &parts, &kept, since).await?;
        self.complete_export(person, parts, permit).await
    }

    /// Asks the services for the parts that are missing, in parallel, until the deadline comes near.
    async fn gather(&self, parts: &mut [ExportPart], token: &str) {
        let context = Context::current();
        let budget = context.deadline.left().saturating_sub(MARGIN);
        let asking = join_all(parts.iter_mut().map(|part| self.gather_part(part, token)));
        // A page is added in one step, so whenever the time ends, a part consists of whole pages.
        let _elapsed = tokio::time::timeout(budget, context.within(budget).scope(asking)).await;
    }

    async fn gather_part(&self, part: &mut ExportPart, token: &str) {
        let mut failures = 0;
        while !part.is_complete {
            match self.sources.page(part.source, &part.next, token).await {
                Ok(page) => {
                    part.add(&page, self.clock.now());
                    failures = 0;
                }
                Err(refusal) if refusal.kind.is_transient() => {
                    failures += 1;
                    pause(back_off(failures, FIRST_PAUSE, MAX_PAUSE)).await;
                }
                Err(refusal) => {
                    let (service, code) = (part.source.service(), refusal.code.as_str());
                    tracing::warn!(service, code, "a service refused its part of an export");
                    return;
                }
            }
        }
    }

    /// Keeps what has arrived since `kept` was read, or deletes everything if the export is complete.
    async fn keep_or_discard(
        &self,
        person: UserId,
        parts: &[ExportPart],
        kept: &[ExportPart],
        since: Timestamp,
    ) -> Result<(), UserError> {
        if parts.iter().all(|part| part.is_complete) {
            if !kept.is_empty() {
                self.exports.discard_export(person).await.map_err(UserStoreError::from)?;
            }
            return Ok(());
        }
        let changed: Vec<ExportPart> = parts.iter().filter(|part| !kept.contains(part)).cloned().collect();
        let kept = self.exports.keep_export_parts(person, &changed, since).await;
        if kept.map_err(UserStoreError::from)? { Ok(()) } else { Err(UserStoreError::NotFound.into()) }
    }

    /// Adds the parts of this service, as they are now.
    async fn complete_export(
        &self,
        person: UserId,
        parts: Vec<ExportPart>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Export, UserError> {
        let filter = AuditFilter { subject: Some(person), ..AuditFilter::default() };
        let found = self.audit.entries(&filter, None, MAX_ENTRIES + 1).await;
        let mut audit = found.map_err(UserStoreError::from)?;
        let is_audit_cut = audit.len() > MAX_ENTRIES as usize;
        audit.truncate(MAX_ENTRIES as usize);
        Ok(Export {
            // From the store: an account that was erased meanwhile must not be exported out of the cache.
            account: self.store.by_id(person).await?.ok_or(UserStoreError::NotFound)?,
            sessions: self.sessions(person).await?,
            consent: self.consent(person).await?,
            audit,
            is_audit_cut,
            at: self.clock.now(),
            parts,
            permit,
        })
    }

    /// Deletes parts of exports that are older than a day, at most `most`. Returns their number.
    pub async fn delete_export_parts(&self, most: u32) -> Result<u64, UserError> {
        let before = self.clock.now().minus(PART_LIFE);
        Ok(self.exports.delete_export_parts(before, most).await.map_err(UserStoreError::from)?)
    }
}
