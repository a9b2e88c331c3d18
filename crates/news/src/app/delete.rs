use kernel::{ArticleId, Expected, Identity};

use super::{App, NewsError};
use crate::domain::{Article, Command};

impl App {
    /// Puts an article away. All of its versions stay.
    pub async fn delete(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        self.change(who, Command::Delete, id, expected, |who, article| Ok(article.delete(who.user, at)?))
            .await
    }
}
