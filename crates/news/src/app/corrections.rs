use kernel::{FieldFault, MAX_LIMIT};

use super::{App, NewsError};
use crate::domain::{ArticleCorrection, CorrectionPart};

impl App {
    /// Returns a part of the public corrections of all published articles, the newest first. Every caller may
    /// see them.
    pub async fn corrections(&self, part: &CorrectionPart) -> Result<Vec<ArticleCorrection>, NewsError> {
        if !(1..=MAX_LIMIT).contains(&part.limit) {
            let why = format!("must be between 1 and {MAX_LIMIT}, got {}", part.limit);
            return Err(NewsError::Invalid(vec![FieldFault::new("/limit", "out_of_range", why)]));
        }
        Ok(self.events.corrections(part).await?)
    }
}
