use kernel::{FieldFault, Role, Sections, UserId};

use super::{App, UserError};
use crate::domain::User;

impl App {
    /// Gives an account a role.
    ///
    /// # Errors
    /// `not_found`; `last_admin`; `invalid` where a role that knows no sections is limited to some, or to none at all.
    pub async fn set_role(&self, id: UserId, role: Role, sections: Sections) -> Result<User, UserError> {
        if let Sections::Only(only) = &sections {
            let limited = matches!(role, Role::Author | Role::Editor);
            let fault = |code, sentence| UserError::field(FieldFault::new("/sections", code, sentence));
            if !limited {
                return Err(fault("not_limited", "only authors and editors are limited to sections"));
            }
            if only.is_empty() {
                return Err(fault("empty", "must name a section, or be left out for all"));
            }
        }
        self.settle(id).await?;
        let outcome = self.store.set_role(id, role, &sections).await;
        Ok(self.told(id, outcome).await?)
    }
}
