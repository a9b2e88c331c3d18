use chassis::StoreFailure;
use kernel::ArticleId;

use super::App;
use crate::domain::{Broken, follow};
use crate::store::read_event;

/// A history that is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many versions it has. None: there is no such article.
    pub versions: usize,
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
        let history = self.events.history(id).await?;
        follow(&history)?;
        for link in &history {
            let version = link.version;
            let change = read_event(&link.record, String::new()).map_err(|_| Broken::Tampered { version })?;
            if (change.article.id, change.article.version) != (id, version) {
                return Err(Broken::Tampered { version }.into());
            }
        }
        Ok(Verified { versions: history.len() })
    }
}
