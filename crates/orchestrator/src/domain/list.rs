use std::cmp::Ordering;

use kernel::{ArticleId, Section, Timestamp, UserId};

use super::{Article, State};

/// The filter of a list. An absent field lets every article pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The label, in the form that its spellings share ([`kernel::match_key`]), so that they are one list for
    /// cursors and caches.
    pub label: Option<String>,
    /// The byline, in NFC.
    pub author: Option<String>,
    /// The account of the author.
    pub author_id: Option<UserId>,
    /// The earliest moment of the first publication.
    pub from: Option<Timestamp>,
    /// The latest moment of the first publication.
    pub to: Option<Timestamp>,
    /// The states, as far as the caller may see them. Empty means published.
    pub states: Vec<State>,
}

impl Filter {
    /// Returns true if the list is the same for everyone.
    pub fn is_public(&self) -> bool {
        self.states.iter().all(State::is_public)
    }
}

/// The order of a list. Articles of the same moment are sorted by id, in the same direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// `published_at desc, id desc`; articles that were never published come last.
    #[default]
    Newest,
    /// `published_at asc, id asc`; articles that were never published come first.
    Oldest,
    /// `updated_at desc, id desc`.
    Updated,
    /// `state_since asc, id asc`: the longest in its state first. For staff.
    Waiting,
}

impl Order {
    /// Every order.
    pub const ALL: [Order; 4] = [Order::Newest, Order::Oldest, Order::Updated, Order::Waiting];

    /// Returns the name in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Order::Newest => "newest",
            Order::Oldest => "oldest",
            Order::Updated => "updated",
            Order::Waiting => "waiting",
        }
    }

    /// Compares two positions by this order.
    pub fn compare(self, one: &Position, other: &Position) -> Ordering {
        match self {
            Order::Newest | Order::Updated => other.cmp(one),
            Order::Oldest | Order::Waiting => one.cmp(other),
        }
    }
}

/// A position in a list. There need not be an article at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The moment of the first publication (1970 if there was none), of the version or of the change of
    /// state, depending on the order.
    pub at: Timestamp,
    /// The id of the article.
    pub id: ArticleId,
}

impl Position {
    /// Returns the position of `article` in this order.
    pub fn of(article: &Article, order: Order) -> Self {
        let at = match order {
            Order::Newest | Order::Oldest => article.published_at.unwrap_or(Timestamp::from_millis(0)),
            Order::Updated => article.updated_at,
            Order::Waiting => article.state_since,
        };
        Self { at, id: article.id }
    }
}

/// The start of a slice of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// After this number of articles.
    Offset(u32),
    /// After this position.
    After(Position),
    /// The slice ends before this position: the nearest articles, in the order of the list.
    Before(Position),
}

/// A slice of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListSlice {
    /// The filter.
    pub filter: Filter,
    /// The order.
    pub order: Order,
    /// The start.
    pub start: Start,
    /// The largest number of articles.
    pub limit: u32,
}

impl ListSlice {
    /// Returns a slice of the published articles, newest first.
    pub fn newest(offset: u32, limit: u32) -> Self {
        Self { filter: Filter::default(), order: Order::Newest, start: Start::Offset(offset), limit }
    }
}

/// The sections of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All sections, as if they were one.
    All,
    /// One section.
    One(Section),
}

impl Scope {
    /// Returns the sections.
    pub fn sections(self) -> Vec<Section> {
        match self {
            Scope::All => Section::ALL.to_vec(),
            Scope::One(section) => vec![section],
        }
    }

    /// Returns the name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::All => "all",
            Scope::One(section) => section.as_str(),
        }
    }
}
