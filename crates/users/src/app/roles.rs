use kernel::{FieldFault, Role, Sections, UserId};

use super::{App, UserError};
use crate::domain::{Origin, User};

impl App {
    /// Gives an account a role.
    ///
    /// # Errors
    /// `not_found`; `last_admin`; `invalid` if the sections are empty, or the role can't be limited to
    /// sections.
    pub async fn set_role(
        &self,
        id: UserId,
        role: Role,
        sections: Sections,
        origin: &Origin,
    ) -> Result<User, UserError> {
        if let Sections::Only(only) = &sections {
            let has_sections = matches!(role, Role::Author | Role::Editor);
            let fault = |code, sentence| UserError::field(FieldFault::new("/sections", code, sentence));
            if !has_sections {
                return Err(fault(
                    "not_limited",
                    "must be left out: only authors and editors are limited to sections",
                ));
            }
            if only.is_empty() {
                return Err(fault(
                    "empty",
                    "must name at least one section, or be left out for all sections",
                ));
            }
        }
        self.settle(id).await?;
        let outcome = self.store.set_role(id, role, &sections, origin).await;
        Ok(self.update_cache(id, outcome).await?)
    }
}
