use kernel::{ArticleId, Expected, Version};

use super::{App, NewsError, Writer};
use crate::domain::{Article, Command, State};

impl App {
    /// Brings back what was put away, to where it stood before.
    pub async fn undelete(
        &self,
        writer: Writer<'_>,
        id: ArticleId,
        expected: &Expected,
    ) -> Result<Article, NewsError> {
        let at = self.clock.now();
        let before = self.before_the_newest(id).await?;
        self.change(writer, Command::Undelete, id, expected, |who, article| {
            // What is not deleted is refused by the state machine, whatever was before.
            let before = before.as_ref().filter(|before| before.version.next() == article.version);
            if before.is_none() && article.state == State::Deleted {
                return Err(NewsError::Stale { current: Some(article.version) });
            }
            let state = before.map_or(State::Draft, |before| before.state);
            Ok(article.undelete(state, who.user, at)?)
        })
        .await
    }

    /// The version before the newest one: nothing happens to a deleted article but that it comes back, so there it says where the
    /// article stood.
    async fn before_the_newest(&self, id: ArticleId) -> Result<Option<Article>, NewsError> {
        let newest = self.events.latest(id).await?.map(|article| article.version);
        match newest.filter(|version| *version > Version::FIRST) {
            Some(version) => Ok(self.events.version(id, Version::new(version.number() - 1)).await?),
            None => Ok(None),
        }
    }
}
