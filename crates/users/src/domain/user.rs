use kernel::{Role, Sections, SessionId, Timestamp, UserId, Version};

use super::{Credentials, Email, Invalid};

/// A display name, exactly as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The most characters of a name.
    pub const MAX: usize = 100;

    /// Checks a typed name.
    ///
    /// # Errors
    /// `empty`, `too_long`, or `control_character`.
    pub fn parse(typed: &str) -> Result<Self, Invalid> {
        kernel::line(typed, Self::MAX)?;
        Ok(Self(typed.to_owned()))
    }

    /// Wraps a name that was stored before. It passed the rules of its day.
    pub fn stored(typed: String) -> Self {
        Self(typed)
    }

    /// Returns the name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account as its owner sees it. It contains neither the password nor its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id, which is never used again, even after an erasure.
    pub id: UserId,
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// The role.
    pub role: Role,
    /// The sections in which the role holds.
    pub sections: Sections,
    /// The time of the registration.
    pub created_at: Timestamp,
    /// The version: 1 at the registration, one more with every change.
    pub version: Version,
}

impl User {
    /// Creates a reader in the first version.
    pub fn registered(id: UserId, name: Name, email: Email, at: Timestamp) -> Self {
        let (role, sections) = (Role::Reader, Sections::All);
        Self { id, name, email, role, sections, created_at: at, version: Version::FIRST }
    }

    /// Returns the public part of the account.
    pub fn profile(&self) -> Profile {
        Profile {
            id: self.id,
            name: self.name.clone(),
            role: self.role.is_staff().then_some(self.role),
            version: self.version,
        }
    }
}

/// The public part of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its id.
    pub id: UserId,
    /// The display name: an author's byline.
    pub name: Name,
    /// The role, if it is one of the staff.
    pub role: Option<Role>,
    /// The account's version, for entity tags.
    pub version: Version,
}

/// An account with its credentials. Only the store, the intake and a login handle one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub user: User,
    /// The hash of its password.
    pub credentials: Credentials,
}

impl Account {
    /// Creates an account in its first version.
    pub fn new(
        id: UserId,
        name: Name,
        email: Email,
        role: Role,
        credentials: Credentials,
        now: Timestamp,
    ) -> Self {
        let user = User { role, ..User::registered(id, name, email, now) };
        Self { user, credentials }
    }
}

/// The changes that a caller requests; a field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AccountPatch {
    /// The new name.
    pub name: Option<Name>,
    /// The new address.
    pub email: Option<Email>,
    /// The new password.
    pub password: Option<super::Password>,
}

impl AccountPatch {
    /// Says whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.password.is_none()
    }

    /// Says whether it changes the e-mail or the password. An address with other capitals is the same
    /// address.
    pub fn is_sensitive(&self, user: &User) -> bool {
        self.password.is_some() || self.email.as_ref().is_some_and(|email| *email != user.email)
    }
}

/// A change of an account as the store applies it; a field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// The new name.
    pub name: Option<Name>,
    /// The new address.
    pub email: Option<Email>,
    /// The hash of the new password. It ends all sessions except `keeps`.
    pub credentials: Option<Credentials>,
    /// The session that stays when the password changes: the caller's.
    pub keeps: Option<SessionId>,
    /// The credentials that the caller has proven. The change is refused if they are no longer current.
    pub proven: Option<Credentials>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: Role) -> User {
        let name = Name::parse("Ann").expect("a name");
        let email = Email::parse("ann@example.org").expect("an address");
        let credentials = Credentials::from_phc(String::new());
        let now = Timestamp::from_millis(0);
        Account::new(UserId::new(uuid::Uuid::nil()), name, email, role, credentials, now).user
    }

    #[test]
    fn the_public_profile_shows_the_role_of_staff_only() {
        assert_eq!(user(Role::Reader).profile().role, None);
        assert_eq!(user(Role::Author).profile().role, Some(Role::Author));
    }

    #[test]
    fn names_have_one_to_a_hundred_characters_and_no_control_characters() {
        for invisible in ["", " ", "\u{200e}\u{200b}", "\u{3164}"] {
            assert_eq!(Name::parse(invisible).expect_err("empty").code, "empty");
        }
        assert_eq!(Name::parse("a\u{0}b").expect_err("a null").code, "control_character");
        assert!(Name::parse(&"ß".repeat(100)).is_ok());
        assert_eq!(Name::parse(&"ß".repeat(101)).expect_err("too long").code, "too_long");
        assert_eq!(Name::parse(" <b>Ann</b> ").expect("kept").as_str(), " <b>Ann</b> ");
    }

    #[test]
    fn only_a_new_address_or_password_is_a_sensitive_change() {
        let ann = user(Role::Reader);
        let other = |email: &str| AccountPatch { email: Email::parse(email).ok(), ..AccountPatch::default() };
        assert!(
            !AccountPatch { name: Name::parse("Anna").ok(), ..AccountPatch::default() }.is_sensitive(&ann)
        );
        assert!(!other("ANN@example.org").is_sensitive(&ann));
        assert!(other("anna@example.org").is_sensitive(&ann));
    }
}
