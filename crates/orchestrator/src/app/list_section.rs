use kernel::{Page, Section};

use super::{App, ArticleError, Asker};
use crate::domain::SectionList;
use crate::ports::Window;

impl App {
    /// A page of the published articles of one section, newest first.
    ///
    /// # Errors
    /// Where the section is away or refuses.
    pub async fn list_section(
        &self,
        section: Section,
        page: Page,
        content: bool,
        asker: &Asker,
    ) -> Result<SectionList, ArticleError> {
        let window = Window { offset: page.offset(), limit: page.limit(), content };
        Ok(self.desks.list(section, window, asker.token()).await?)
    }
}
