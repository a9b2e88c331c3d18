use chassis::Context;
use chassis::http::Caller;
use kernel::{ArticleId, MessageId, Section, Version};

use super::{App, ArticleError};
use crate::domain::{Article, Reading};

impl App {
    /// One article. With `min_version` its section waits up to a second until it can show that version.
    ///
    /// Nothing is told of it here: [`App::was_read`] is called once the answer is made.
    ///
    /// # Errors
    /// What the section said: `not_found` also for what the caller may not see, `not_yet_projected`; or that it is away.
    pub async fn get_article(
        &self,
        section: Section,
        id: ArticleId,
        min_version: Option<Version>,
        caller: &Caller,
    ) -> Result<Article, ArticleError> {
        Ok(self.sections.get(section, id, min_version, caller.token.as_deref()).await?)
    }

    /// The reading that answering `article` to `caller` is, if that may be told at all.
    pub fn reading(&self, article: &Article, caller: &Caller) -> Option<Reading> {
        let reader = caller.identity.as_ref()?;
        let id = MessageId::new(self.ids.next());
        Reading::of(article, reader, id, self.clock.now(), Context::current().trace)
    }

    /// Notes a reading once its answer is made. It never waits and never fails: a full queue drops it and counts the drop.
    pub fn was_read(&self, reading: Option<Reading>) {
        if let Some(reading) = reading {
            self.readings.offer(reading);
        }
    }
}
