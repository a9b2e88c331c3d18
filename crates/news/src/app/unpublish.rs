use kernel::{ArticleId, Expected};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Command};

impl App {
    /// Takes a published article back from readers, quietly. It may be published again.
    pub async fn unpublish(
        &self,
        writer: Writer<'_>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        self.change(writer, Command::Unpublish, id, expected, |who, article| {
            Ok(article.unpublish(who.user, at)?)
        })
        .await
    }
}
