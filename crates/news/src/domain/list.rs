use std::borrow::Cow;

use kernel::{ArticleId, Timestamp, UserId, match_key, nfc};

use super::{Article, State};

/// Which articles a list holds. What is absent lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// With this label, in any spelling of its.
    pub label: Option<String>,
    /// With this byline: the same letters, however they were typed.
    pub byline: Option<String>,
    /// Written by this account.
    pub author: Option<UserId>,
    /// First published at this moment or later.
    pub from: Option<Timestamp>,
    /// First published at this moment or earlier.
    pub to: Option<Timestamp>,
    /// In one of these states; none named: published.
    pub states: Vec<State>,
}

impl Filter {
    /// The states whose articles pass, each once.
    pub fn states(&self) -> Vec<State> {
        if self.states.is_empty() {
            return vec![State::Published];
        }
        State::ALL.into_iter().filter(|state| self.states.contains(state)).collect()
    }

    /// The bytes that its texts and lists take: clients decide how many.
    pub fn bytes(&self) -> usize {
        let texts = [&self.label, &self.byline];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + self.states.len() * size_of::<State>()
    }

    /// True where nothing but the state decides.
    pub fn is_by_state_alone(&self) -> bool {
        *self == Self { states: self.states.clone(), ..Self::default() }
    }

    /// The form in which its label is matched.
    pub fn label_key(&self) -> Option<String> {
        self.label.as_deref().map(match_key)
    }

    /// The form in which its byline is matched.
    pub fn byline_key(&self) -> Option<Cow<'_, str>> {
        self.byline.as_deref().map(nfc)
    }

    /// Whether an article passes: the law that every store's own filter is held to.
    pub fn passes(&self, article: &Article) -> bool {
        let has = |label: &str| article.story.tags.iter().any(|tag| tag.key() == label);
        let published = |holds: &dyn Fn(Timestamp) -> bool| article.published_at.is_some_and(holds);
        self.states().contains(&article.state)
            && self.label_key().as_deref().is_none_or(has)
            && self.byline_key().is_none_or(|key| key == nfc(article.byline.as_str()))
            && self.author.is_none_or(|author| author == article.author)
            && self.from.is_none_or(|from| published(&|at| at >= from))
            && self.to.is_none_or(|to| published(&|at| at <= to))
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
            Order::Newest | Order::Oldest => placed_at(article),
            Order::Updated => article.updated_at,
        };
        Self { at, id: article.id }
    }
}

/// The moment that places an article in lists by publication: 1970 where it was never published.
pub fn placed_at(article: &Article) -> Timestamp {
    article.published_at.unwrap_or(Timestamp::from_millis(0))
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

    /// True where a store has to go through the list from the greatest place down: half of the orders, turned round to look back.
    pub fn descends(&self) -> bool {
        (self.order != Order::Oldest) != self.looks_back()
    }

    /// True where what is found comes in the wrong direction and has to be turned round.
    pub fn looks_back(&self) -> bool {
        matches!(self.start, Start::Before(_))
    }
}
