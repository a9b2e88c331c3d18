use kernel::{FieldFault, MAX_LIMIT};

use super::{App, NewsError};
use crate::domain::{ArticleCorrection, CorrectionPart};

impl App {
    /// Returns a part of the public corrections of all published articles, the newest first. Every caller may
    /// see them.
    pub async fn corrections(&self, part: &CorrectionPart) -> Result<Vec<ArticleCorrection>, NewsError> {
        // One more than a page holds, which shows whether there is another page.
        let most = MAX_LIMIT + 1;
        if !(1..=most).contains(&part.limit) {
            let why = format!("must be between 1 and {most}, got {}", part.limit);
            return Err(NewsError::Invalid(vec![FieldFault::new("/limit", "out_of_range", why)]));
        }
        Ok(self.events.corrections(part).await?)
    }
}
