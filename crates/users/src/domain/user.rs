use kernel::{Role, Sections, SessionId, Timestamp, UserId, Version};

use super::{Credentials, Email, Invalid};

/// A display name, exactly as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The most characters of a name.
    pub const MAX: usize = 100;

    /// Checks a name that somebody typed.
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

    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account as it is shown to its owner. There is no way from here to the password or its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id; never given to anybody else, even after an erasure.
    pub id: UserId,
    /// The display name.
    pub name: Name,
    /// The address to log in with.
    pub email: Email,
    /// What it may do.
    pub role: Role,
    /// Where it may do so.
    pub sections: Sections,
    /// When it was registered.
    pub created_at: Timestamp,
    /// 1 when it was registered, one more with every change.
    pub version: Version,
}

impl User {
    /// A reader in the first version.
    pub fn registered(id: UserId, name: Name, email: Email, at: Timestamp) -> Self {
        let (role, sections) = (Role::Reader, Sections::All);
        Self { id, name, email, role, sections, created_at: at, version: Version::FIRST }
    }

    /// What everybody may see of it.
    pub fn profile(&self) -> Profile {
        Profile {
            id: self.id,
            name: self.name.clone(),
            role: self.role.is_staff().then_some(self.role),
            version: self.version,
        }
    }
}

/// An account as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its id.
    pub id: UserId,
    /// The display name: an author's byline.
    pub name: Name,
    /// The role, of those who work on the news.
    pub role: Option<Role>,
    /// The account's version, for entity tags.
    pub version: Version,
}

/// An account with what it takes to log in. Only the store, the intake and a login ever hold one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub user: User,
    /// The hash of its password.
    pub credentials: Credentials,
}

impl Account {
    /// A new account in its first version.
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

/// What somebody wants an account to be from now on; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Another name.
    pub name: Option<Name>,
    /// Another address.
    pub email: Option<Email>,
    /// Another password.
    pub password: Option<super::Password>,
}

impl Wish {
    /// True if nothing shall be different.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.password.is_none()
    }

    /// True where the wish touches what it takes to log in. The same address in other capitals is the same address.
    pub fn is_sensitive(&self, user: &User) -> bool {
        self.password.is_some() || self.email.as_ref().is_some_and(|email| *email != user.email)
    }
}

/// A change of an account as the store applies it; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another name.
    pub name: Option<Name>,
    /// Another address.
    pub email: Option<Email>,
    /// The hash of another password. With it all sessions end but `keeps`.
    pub credentials: Option<Credentials>,
    /// The session that goes on where the password changes: that of whoever changes it.
    pub keeps: Option<SessionId>,
    /// The credentials that were proven before this change was allowed: it is refused where they no longer hold.
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
    fn everybody_sees_the_role_of_those_who_work_on_the_news_only() {
        assert_eq!(user(Role::Reader).profile().role, None);
        assert_eq!(user(Role::Author).profile().role, Some(Role::Author));
    }

    #[test]
    fn names_have_one_to_a_hundred_characters_and_no_control_characters() {
        for nothing in ["", " ", "\u{200e}\u{200b}", "\u{3164}"] {
            assert_eq!(Name::parse(nothing).expect_err("empty").code, "empty");
        }
        assert_eq!(Name::parse("a\u{0}b").expect_err("a null").code, "control_character");
        assert!(Name::parse(&"ß".repeat(100)).is_ok());
        assert_eq!(Name::parse(&"ß".repeat(101)).expect_err("too long").code, "too_long");
        assert_eq!(Name::parse(" <b>Ann</b> ").expect("kept").as_str(), " <b>Ann</b> ");
    }

    #[test]
    fn only_another_address_or_password_touches_what_it_takes_to_log_in() {
        let ann = user(Role::Reader);
        let other = |email: &str| Wish { email: Email::parse(email).ok(), ..Wish::default() };
        assert!(!Wish { name: Name::parse("Anna").ok(), ..Wish::default() }.is_sensitive(&ann));
        assert!(!other("ANN@example.org").is_sensitive(&ann));
        assert!(other("anna@example.org").is_sensitive(&ann));
    }
}
