use chassis::Context;
use chassis::http::Caller;
use kernel::{ArticleId, MessageId, Section, Version};

use super::{App, ArticleError};
use crate::domain::{Article, Reading};

impl App {
    /// Returns one article. With `min_version` its section waits up to a second until it can show that
    /// version.
    ///
    /// This does not publish a reading: [`App::note_reading`] is called after the answer is made.
    ///
    /// # Errors
    /// Fails with the refusal of the section (`not_found`, also for an article that the caller may not see,
    /// or `not_yet_projected`), or if the section is unavailable.
    pub async fn get_article(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        caller: &Caller,
    ) -> Result<Article, ArticleError> {
        Ok(self.sections.get(section, id, min_version, caller.token.as_deref()).await?)
    }

    /// Returns the reading of `article` by `caller`, if it may be published.
    pub fn reading_of(&self, article: &Article, caller: &Caller) -> Option<Reading> {
        let reader = caller.identity.as_ref()?;
        let id = MessageId::new(self.ids.next());
        Reading::of(article, reader, id, self.clock.now(), Context::current().trace)
    }

    /// Queues a reading after its answer is made. It never waits and never fails: a full queue drops the
    /// reading and counts it.
    pub fn note_reading(&self, reading: Option<Reading>) {
        if let Some(reading) = reading {
            self.readings.offer(reading);
        }
    }
}
