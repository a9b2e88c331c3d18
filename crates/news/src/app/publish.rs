use kernel::{ArticleId, Expected};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Command};

impl App {
    /// Makes an article public.
    pub async fn publish(
        &self,
        writer: Writer<'_>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        self.change(writer, Command::Publish, id, expected, |who, article| Ok(article.publish(who.user, at)?))
            .await
    }
}
