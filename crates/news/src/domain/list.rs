use std::borrow::Cow;
use std::collections::HashMap;

use kernel::{ArticleId, Timestamp, UserId, match_key, nfc};

use super::{Article, State};

/// The filter of a list. An absent field lets every article pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only articles with this label, in any spelling.
    pub label: Option<String>,
    /// Only articles with this byline, compared in NFC.
    pub byline: Option<String>,
    /// Only articles by this account.
    pub author: Option<UserId>,
    /// Only articles by other accounts than this one.
    pub except_author: Option<UserId>,
    /// Only articles that were first published at this time or later.
    pub from: Option<Timestamp>,
    /// Only articles that were first published at this time or earlier.
    pub to: Option<Timestamp>,
    /// Only articles in one of these states. Empty: published.
    pub states: Vec<State>,
    /// Only articles that an editor has returned to their authors, with a note.
    pub returned: bool,
}

impl Filter {
    /// Returns the states whose articles pass, each once.
    pub fn states(&self) -> Vec<State> {
        if self.states.is_empty() {
            return vec![State::Published];
        }
        State::ALL.into_iter().filter(|state| self.states.contains(state)).collect()
    }

    /// Returns the bytes of its texts and lists. Clients decide how many there are.
    pub fn bytes(&self) -> usize {
        let texts = [&self.label, &self.byline];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + self.states.len() * size_of::<State>()
    }

    /// True if it filters by state alone.
    pub fn is_by_state_alone(&self) -> bool {
        *self == Self { states: self.states.clone(), ..Self::default() }
    }

    /// Returns the form in which its label is compared.
    pub fn label_key(&self) -> Option<String> {
        self.label.as_deref().map(match_key)
    }

    /// Returns the form in which its byline is compared.
    pub fn byline_key(&self) -> Option<Cow<'_, str>> {
        self.byline.as_deref().map(nfc)
    }

    /// True if the article passes. The filters of all stores must agree with this function.
    pub fn passes(&self, article: &Article) -> bool {
        let has = |label: &str| article.story.tags.iter().any(|tag| tag.key() == label);
        let published = |holds: &dyn Fn(Timestamp) -> bool| article.published_at.is_some_and(holds);
        self.states().contains(&article.state)
            && self.label_key().as_deref().is_none_or(has)
            && self.byline_key().is_none_or(|key| key == nfc(article.byline.as_str()))
            && self.author.is_none_or(|author| author == article.author)
            && self.except_author.is_none_or(|author| author != article.author)
            && (!self.returned || article.review_note.is_some())
            && self.from.is_none_or(|from| published(&|at| at >= from))
            && self.to.is_none_or(|to| published(&|at| at <= to))
    }
}

/// The order of a list. Articles of the same moment are ordered by their ids, in the same direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// `published_at desc, id desc`. Articles that were never published come last.
    #[default]
    Newest,
    /// `published_at asc, id asc`. Articles that were never published come first.
    Oldest,
    /// `updated_at desc, id desc`.
    Updated,
    /// `state_since asc, id asc`: the longest in its state first.
    Waiting,
    /// `scheduled_at asc, id asc`: the next publication first. Articles that are not scheduled come before
    /// all others.
    Due,
}

impl Order {
    /// True if the greatest position comes first.
    pub const fn descends(self) -> bool {
        match self {
            Order::Newest | Order::Updated => true,
            Order::Oldest | Order::Waiting | Order::Due => false,
        }
    }
}

/// A position in a list. No article needs to be at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The time by which the order sorts: of the first publication or the next one (1970 if there is none),
    /// of the version, or of the change of state.
    pub at: Timestamp,
    /// The article.
    pub id: ArticleId,
}

impl Position {
    /// Returns the position of `article`.
    pub fn of(article: &Article, order: Order) -> Self {
        let at = match order {
            Order::Newest | Order::Oldest => placed_at(article),
            Order::Updated => article.updated_at,
            Order::Waiting => article.state_since,
            Order::Due => due_at(article),
        };
        Self { at, id: article.id }
    }
}

/// Returns the time by which lists in order of publication sort an article: 1970 if it was never published.
pub fn placed_at(article: &Article) -> Timestamp {
    article.published_at.unwrap_or(Timestamp::from_millis(0))
}

/// Returns the time by which lists in order of the next publication sort an article: 1970 if none is
/// scheduled.
pub fn due_at(article: &Article) -> Timestamp {
    article.scheduled_at.unwrap_or(Timestamp::from_millis(0))
}

/// The start of a part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// After this number of articles.
    Offset(u32),
    /// After this position.
    After(Position),
    /// The part ends before this position: the nearest articles, in the order of the list.
    Before(Position),
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The filter.
    pub filter: Filter,
    /// The order.
    pub order: Order,
    /// The start.
    pub start: Start,
    /// The most articles.
    pub limit: u32,
}

impl Part {
    /// Returns a part of the published articles, newest first.
    pub fn newest(offset: u32, limit: u32) -> Self {
        Self { filter: Filter::default(), order: Order::Newest, start: Start::Offset(offset), limit }
    }

    /// True if a store reads the list from the greatest position down: the descending orders, reversed when
    /// looking back.
    pub fn descends(&self) -> bool {
        self.order.descends() != self.looks_back()
    }

    /// True if the store reads in the opposite direction, so that the result must be reversed.
    pub fn looks_back(&self) -> bool {
        matches!(self.start, Start::Before(_))
    }
}

/// Returns those of `articles` that `ids` names, in the order of `ids`. An id that occurs twice gives two
/// articles.
pub fn in_order_of(ids: &[ArticleId], articles: Vec<Article>) -> Vec<Article> {
    let by_id: HashMap<ArticleId, Article> =
        articles.into_iter().map(|article| (article.id, article)).collect();
    ids.iter().filter_map(|id| by_id.get(id).cloned()).collect()
}
