use chassis::http::Caller;
use kernel::{Role, Section};

use super::{App, ArticleError};
use crate::domain::Desk;

/// The work that waits for one of the staff.
#[derive(Debug)]
pub struct DeskPage {
    /// The work in the sections that answered.
    pub desk: Desk,
    /// The sections that did not answer in time, in the order of [`Section::ALL`].
    pub missing: Vec<Section>,
}

impl App {
    /// Returns the work that waits for the caller in all sections in which they work. Each is asked once, and
    /// all at the same time. Sections in which the caller has no role are not asked.
    ///
    /// # Errors
    /// Fails if no section answered, or if one refused the request itself.
    pub async fn desk(&self, caller: &Caller) -> Result<DeskPage, ArticleError> {
        let works_in = |section: &Section| {
            caller.identity.as_ref().is_some_and(|who| who.may_act_as(Role::Author, *section))
        };
        let token = caller.token.as_deref();
        let sections = Section::ALL.into_iter().filter(works_in);
        let asked = sections.map(|section| (section, self.sections.desk(section, token)));
        let (desks, missing) = self.gather(false).ask(asked).await?;
        Ok(DeskPage { desk: Desk::merge(desks), missing })
    }
}
