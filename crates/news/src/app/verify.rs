use chassis::StoreFailure;
use kernel::{ArticleId, Version};

use super::App;
use crate::domain::{BrokenChain, ChainVerifier};

/// The most records in memory at a time.
const RECORDS: u32 = 20;
/// The most ids in memory at a time.
const IDS: u32 = 500;

/// The history of an article that is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainReport {
    /// The number of versions. 0 if there is no such article.
    pub versions: usize,
}

/// The result of verifying all histories of a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// The number of articles.
    pub articles: u64,
    /// The number of versions that are as they were written.
    pub versions: u64,
    /// The articles whose history is broken, in the order of their ids.
    pub broken: Vec<(ArticleId, BrokenChain)>,
}

/// The reason why a history could not be chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The history is not the one that was written.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl App {
    /// Verifies the hash chain of an article, and that each record is of this article and version.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn verify(&self, id: ArticleId) -> Result<ChainReport, ChainError> {
        let mut verifier = ChainVerifier::default();
        let mut after: Option<Version> = None;
        loop {
            let links = self.events.links(id, after, RECORDS).await?;
            let Some(last) = links.last() else { break };
            after = Some(last.version);
            for link in &links {
                verifier.next(link)?;
                if link.head.is_none_or(|head| (head.id, head.version) != (id, link.version)) {
                    return Err(BrokenChain::Tampered { version: link.version }.into());
                }
            }
        }
        Ok(ChainReport { versions: verifier.count() as usize })
    }

    /// Verifies the histories of all articles, and continues after a broken one. `progress` gets the number
    /// of articles so far.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn verify_all(&self, progress: impl Fn(u64) + Send) -> Result<AuditReport, StoreFailure> {
        let mut report = AuditReport::default();
        let mut after = None;
        loop {
            let ids = self.events.ids(after, IDS).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            for id in ids {
                match self.verify(id).await {
                    Ok(chain) => report.versions += chain.versions as u64,
                    Err(ChainError::Broken(broken)) => report.broken.push((id, broken)),
                    Err(ChainError::Store(failure)) => return Err(failure),
                }
                report.articles += 1;
                progress(report.articles);
            }
        }
        Ok(report)
    }
}
