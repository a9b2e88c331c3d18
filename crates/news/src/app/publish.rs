use kernel::{ArticleId, Expected, Identity};

use super::{App, NewsError};
use crate::domain::{Article, Command};

impl App {
    /// Makes an article public.
    pub async fn publish(
        &self,
        who: Option<&Identity>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        self.change(who, Command::Publish, id, expected, |who, article| Ok(article.publish(who.user, at)?))
            .await
    }
}
