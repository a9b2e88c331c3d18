use kernel::Section;

use super::{App, ArticleError};
use crate::ports::{Command, Done};

impl App {
    /// Sends a command to its section. Readers of this process see the effect immediately; other processes
    /// learn of it from the section's event a moment later.
    ///
    /// # Errors
    /// The refusal of the section, or the reason why it is unavailable.
    pub async fn command(&self, section: Section, command: Command) -> Result<Done, ArticleError> {
        let done = self.sections.command(section, command).await?;
        self.shelf.article_changed(section, done.article.id, done.article.version);
        Ok(done)
    }
}
