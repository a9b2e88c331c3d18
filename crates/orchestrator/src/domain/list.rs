use std::cmp::Ordering;

use kernel::{ArticleId, Section, Timestamp, UserId};

use super::{Article, State};

/// Which articles a list holds. What is absent lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// With this label, as its spellings are matched ([`kernel::match_key`]): so they are one list for cursors and caches.
    pub label: Option<String>,
    /// With this byline, in NFC.
    pub author: Option<String>,
    /// Written by this account.
    pub author_id: Option<UserId>,
    /// First published at this moment or later.
    pub from: Option<Timestamp>,
    /// First published at this moment or earlier.
    pub to: Option<Timestamp>,
    /// In one of these states, as far as the caller may see them; none named: published.
    pub states: Vec<State>,
}

impl Filter {
    /// True where everybody gets the same.
    pub fn is_public(&self) -> bool {
        self.states.iter().all(State::is_public)
    }
}

/// In which order a list stands. Articles of one moment stand in the order of their ids, in the same direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// `published_at desc, id desc`; what was never published last.
    #[default]
    Newest,
    /// `published_at asc, id asc`; what was never published first.
    Oldest,
    /// `updated_at desc, id desc`.
    Updated,
}

impl Order {
    /// Every order.
    pub const ALL: [Order; 3] = [Order::Newest, Order::Oldest, Order::Updated];

    /// The name in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Order::Newest => "newest",
            Order::Oldest => "oldest",
            Order::Updated => "updated",
        }
    }

    /// How two places stand to each other in a list of this order.
    pub fn compare(self, one: &Position, other: &Position) -> Ordering {
        match self {
            Order::Newest | Order::Updated => other.cmp(one),
            Order::Oldest => one.cmp(other),
        }
    }
}

/// A place in a list, which need not be that of an article that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When it was first published (1970 where never), or when its version was made, as the order says.
    pub at: Timestamp,
    /// Which one.
    pub id: ArticleId,
}

impl Position {
    /// Where `article` stands.
    pub fn of(article: &Article, order: Order) -> Self {
        let at = match order {
            Order::Newest | Order::Oldest => article.published_at.unwrap_or(Timestamp::from_millis(0)),
            Order::Updated => article.updated_at,
        };
        Self { at, id: article.id }
    }
}

/// Where a part of a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// After so many articles.
    Offset(u32),
    /// After this place.
    After(Position),
    /// It ends before this place: the nearest ones, in the order of the list.
    Before(Position),
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Which articles.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// From where.
    pub start: Start,
    /// How many at the most.
    pub limit: u32,
}

impl Part {
    /// Published articles, newest first.
    pub fn newest(offset: u32, limit: u32) -> Self {
        Self { filter: Filter::default(), order: Order::Newest, start: Start::Offset(offset), limit }
    }
}

/// Of which sections a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of them, as if they were one.
    All,
    /// This one.
    One(Section),
}

impl Scope {
    /// The sections.
    pub fn sections(self) -> Vec<Section> {
        match self {
            Scope::All => Section::ALL.to_vec(),
            Scope::One(section) => vec![section],
        }
    }

    /// The name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::All => "all",
            Scope::One(section) => section.as_str(),
        }
    }
}
