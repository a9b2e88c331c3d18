use chassis::StoreFailure;
use kernel::ArticleId;

use super::App;
use crate::domain::{Broken, follow};

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
        if let Some(moved) = history.iter().find(|link| link.of != Some((id, link.version))) {
            return Err(Broken::Tampered { version: moved.version }.into());
        }
        Ok(Verified { versions: history.len() })
    }
}
