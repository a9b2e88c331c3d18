use chassis::StoreFailure;
use kernel::{ArticleId, Version};

use super::App;
use crate::domain::{Broken, Follower};

/// How many records are in memory at once.
const RECORDS: u32 = 20;
/// How many ids.
const IDS: u32 = 500;

/// A history that is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many versions it has. None: there is no such article.
    pub versions: usize,
}

/// What became of verifying every history of a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// How many articles were looked at.
    pub articles: u64,
    /// How many versions of them are as they were written.
    pub versions: u64,
    /// Those that are not, in the order of their ids.
    pub broken: Vec<(ArticleId, Broken)>,
}

/// Why a history could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It is not what was written.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl App {
    /// Checks the hash chain of an article, and that each record belongs where it stands.
    pub async fn verify(&self, id: ArticleId) -> Result<Verified, ChainError> {
        let mut follower = Follower::default();
        let mut after: Option<Version> = None;
        loop {
            let links = self.events.history(id, after, RECORDS).await?;
            let Some(last) = links.last() else { break };
            after = Some(last.version);
            for link in &links {
                follower.next(link)?;
                if link.of != Some((id, link.version)) {
                    return Err(Broken::Tampered { version: link.version }.into());
                }
            }
        }
        Ok(Verified { versions: follower.followed() as usize })
    }

    /// Checks the histories of all articles, and goes on where one is broken. `progress` is told the number of articles so far.
    pub async fn verify_all(&self, progress: impl Fn(u64) + Send) -> Result<Audited, StoreFailure> {
        let mut audited = Audited::default();
        let mut after = None;
        loop {
            let ids = self.events.ids(after, IDS).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            for id in ids {
                match self.verify(id).await {
                    Ok(verified) => audited.versions += verified.versions as u64,
                    Err(ChainError::Broken(broken)) => audited.broken.push((id, broken)),
                    Err(ChainError::Store(failure)) => return Err(failure),
                }
                audited.articles += 1;
                progress(audited.articles);
            }
        }
        Ok(audited)
    }
}
