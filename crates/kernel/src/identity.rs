use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Section, SessionId, UserId};

/// What an account may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Reader,
    /// Writes drafts of their own.
    Author,
    /// Reviews and publishes what others wrote.
    Editor,
    /// Manages users and roles.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 4] = [Role::Reader, Role::Author, Role::Editor, Role::Admin];

    /// The name in tokens, stores and the matrix of roles and routes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Author => "author",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }

    /// True for everybody who works on the news: their public profile shows the role.
    pub fn is_staff(self) -> bool {
        self > Role::Reader
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role of this name")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// The sections in which a role holds. On the wire: absent for all of them, else a list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sections {
    /// Every section, those of the future too.
    #[default]
    All,
    /// These only.
    Only(BTreeSet<Section>),
}

impl Sections {
    /// True where the role holds in `section`.
    pub fn contain(&self, section: Section) -> bool {
        match self {
            Sections::All => true,
            Sections::Only(sections) => sections.contains(&section),
        }
    }

    /// True where the role is not limited.
    pub fn is_all(&self) -> bool {
        matches!(self, Sections::All)
    }
}

/// Who asks, as a verified access token says. There is no other source of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: UserId,
    /// Its display name when the token was made; an author's byline.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may do so.
    pub sections: Sections,
    /// Whether the person consented to a history of what they read.
    pub history: bool,
    /// The login that the token belongs to.
    pub session: SessionId,
}

impl Identity {
    /// True for a role of at least `role` that holds in `section`.
    pub fn may_act_as(&self, role: Role, section: Section) -> bool {
        self.role >= role && self.sections.contain(section)
    }
}
