use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Section, SessionId, UserId};

/// The permissions of an account. Each role includes the roles before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads articles.
    Reader,
    /// Writes its own drafts.
    Author,
    /// Reviews and publishes the articles of others.
    Editor,
    /// Manages users and roles.
    Admin,
}

impl Role {
    /// All roles, in ascending order.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Author, Role::Editor, Role::Admin];

    /// Returns the name in tokens, stores and the matrix of roles and routes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Author => "author",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }

    /// True for authors, editors and admins, whose public profile shows the role.
    pub fn is_staff(self) -> bool {
        self > Role::Reader
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of reader, author, editor, admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// The sections in which a role holds. In tokens and messages they are absent for all sections, and a list
/// otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sections {
    /// All sections, including future ones.
    #[default]
    All,
    /// Only these sections.
    Only(BTreeSet<Section>),
}

impl Sections {
    /// Returns true if the role holds in `section`.
    pub fn contain(&self, section: Section) -> bool {
        match self {
            Sections::All => true,
            Sections::Only(sections) => sections.contains(&section),
        }
    }

    /// Returns true if the role holds in all sections.
    pub fn is_all(&self) -> bool {
        matches!(self, Sections::All)
    }
}

/// The claims of a verified access token. There is no other source of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: UserId,
    /// The display name of the account when the token was issued. It is the byline of an author.
    pub name: String,
    /// The role of the account.
    pub role: Role,
    /// The sections in which the role holds.
    pub sections: Sections,
    /// True if the user consented to a history of the articles that they read.
    pub history: bool,
    /// The session that the token belongs to.
    pub session: SessionId,
}

impl Identity {
    /// Returns true if the identity has at least `role` in `section`.
    pub fn may_act_as(&self, role: Role, section: Section) -> bool {
        self.role >= role && self.sections.contain(section)
    }
}
