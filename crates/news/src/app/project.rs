use chassis::StoreFailure;

use super::App;
use crate::domain::Article;

impl App {
    /// Puts a version into the view, if it is newer than the version there, and wakes readers that wait for
    /// it. Returns whether it was newer. Versions may come several times and in any order.
    pub async fn project(&self, article: &Article) -> Result<bool, StoreFailure> {
        let newer = self.view.apply(article).await?;
        self.projected.send_modify(|count| *count += 1);
        Ok(newer)
    }
}
