/// Declares an enum whose variants have a name that is stored and sent: the list of all variants, the names,
/// and both directions.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal: $($(#[$of:meta])* $variant:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// All variants, in the order of their declaration.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant,)*];

            /// Returns the name in stores, messages and answers.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|each| each.as_str() == text);
                found.ok_or_else(|| $crate::domain::UnknownName { what: $what, name: text.to_owned() })
            }
        }
    };
}

pub(super) use named;

/// A stored name that this program does not know: a newer program has written it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} with the name `{name}`")]
pub struct UnknownName {
    /// The kind of name.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

named! {
    /// The state of an article in the editorial workflow. Stores and messages contain the name, so a new
    /// state changes no stored format.
    State, "state of an article":
    /// Being written.
    Draft = "draft",
    /// Submitted, and waiting for an editor.
    InReview = "in_review",
    /// Reviewed, and waiting to be published.
    Approved = "approved",
    /// Waiting for its time of publication.
    Scheduled = "scheduled",
    /// Visible to every reader.
    Published = "published",
    /// Withdrawn without a notice. It can be published again.
    Unpublished = "unpublished",
    /// Withdrawn with a notice.
    Retracted = "retracted",
    /// Deleted. All versions stay in the event store.
    Deleted = "deleted",
}
