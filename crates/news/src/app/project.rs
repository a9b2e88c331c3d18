use chassis::StoreFailure;

use super::App;
use crate::domain::Article;

impl App {
    /// Puts a version into the view, if it is newer than what is there, and wakes readers who wait for it. May be
    /// repeated, in any order. Returns whether it was newer.
    pub async fn project(&self, article: &Article) -> Result<bool, StoreFailure> {
        let newer = self.view.apply(article).await?;
        self.projected.send_modify(|count| *count += 1);
        Ok(newer)
    }
}
