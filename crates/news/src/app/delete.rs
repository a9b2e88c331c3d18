use kernel::{ArticleId, Expected};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Command};

impl App {
    /// Puts an article away. All of its versions stay.
    pub async fn delete(
        &self,
        writer: Writer<'_>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        self.change(writer, Command::Delete, id, expected, |who, article| Ok(article.delete(who.user, at)?))
            .await
    }
}
