use kernel::{Timestamp, UserId, Version};

use super::{Article, Change, Event, State};

/// An event in the life of an article, without the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The version that it led to.
    pub version: Version,
    /// The event.
    pub event: Event,
    /// The account that caused it: an id, which stays after an erasure.
    pub by: UserId,
    /// The time of the event.
    pub at: Timestamp,
    /// The state of the article after it.
    pub state: State,
    /// The names of the fields that differ from the version before. For the first version: the names of the
    /// fields that it has.
    pub changed: Vec<&'static str>,
    /// The version whose text came back, if an older version was restored.
    pub from: Option<Version>,
}

impl HistoryEntry {
    /// Returns the entry of `change`, compared with the article `before` it.
    pub fn of(change: &Change, before: Option<&Article>) -> Self {
        let article = &change.article;
        Self {
            version: article.version,
            event: change.event,
            by: change.by,
            at: article.updated_at,
            state: article.state,
            changed: changed(before, article),
            from: change.from,
        }
    }
}

/// Builds the history from changes that come one by one, the newest first. It holds two changes at a time: an
/// article can be long, and its history longer.
#[derive(Debug)]
pub struct HistoryBuilder {
    limit: usize,
    later: Option<Change>,
    entries: Vec<HistoryEntry>,
}

impl HistoryBuilder {
    /// Creates a builder of at most `limit` entries. It needs one more change for them: the one before the
    /// oldest.
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, later: None, entries: Vec::new() }
    }

    /// Adds the next older change.
    pub fn add(&mut self, change: Change) {
        if let Some(later) = self.later.take() {
            self.entries.push(HistoryEntry::of(&later, Some(&change.article)));
        }
        self.later = Some(change);
    }

    /// Returns the entries. If there were at most `limit` changes, the oldest of them is the first event of
    /// the article.
    pub fn build(mut self) -> Vec<HistoryEntry> {
        if self.entries.len() < self.limit {
            self.entries.extend(self.later.map(|first| HistoryEntry::of(&first, None)));
        }
        self.entries
    }
}

/// Returns the names of the fields that differ, as they are in answers.
fn changed(before: Option<&Article>, now: &Article) -> Vec<&'static str> {
    let field = |name: &'static str, differs: &dyn Fn(&Article) -> bool, exists: bool| {
        before.map_or(exists, differs).then_some(name)
    };
    let (story, byline) = (&now.story, &now.byline);
    [
        field("state", &|old| old.state != now.state, true),
        field("title", &|old| old.story.title != story.title, true),
        field("description", &|old| old.story.description != story.description, story.description.is_some()),
        field("content", &|old| old.story.content != story.content, true),
        field("author", &|old| old.byline.as_str() != byline.as_str(), !byline.as_str().is_empty()),
        field("tags", &|old| old.story.tags != story.tags, !story.tags.is_empty()),
        field("lang", &|old| old.story.lang != story.lang, story.lang.is_some()),
        field("image", &|old| old.story.image != story.image, story.image.is_some()),
        field("region", &|old| old.story.region != story.region, story.region.is_some()),
        field("published_at", &|old| old.published_at != now.published_at, now.published_at.is_some()),
        field("corrections", &|old| old.corrections != now.corrections, !now.corrections.is_empty()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use kernel::{ArticleId, Section};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Byline, NewDraft, Slug, Story, StoryInput};

    fn story(title: &str, tags: &[&str]) -> Story {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let input =
            StoryInput { title: title.to_owned(), content: "text".to_owned(), tags, ..StoryInput::default() };
        Story::parse(input).expect("a valid story")
    }

    #[test]
    fn an_entry_names_the_changed_fields_and_the_first_one_all_that_exist() {
        let id = ArticleId::new(Uuid::from_u128(7));
        let by = UserId::new(Uuid::from_u128(1));
        let at = Timestamp::from_millis(1_000);
        let drafted = Article::draft(NewDraft {
            id,
            section: Section::Sports,
            slug: Slug::candidates("A", id)[0].clone(),
            story: story("A", &[]),
            byline: Byline::of("Ada", by),
            author: by,
            at,
        });
        assert_eq!(HistoryEntry::of(&drafted, None).changed, ["state", "title", "content", "author"]);
        let old = &drafted.article;
        let edited =
            old.revise(story("B", &["cup"]), Byline::of("Bob", by), by, at).expect("a legal transition");
        assert_eq!(HistoryEntry::of(&edited, Some(old)).changed, ["title", "author", "tags"]);
        let published = edited.article.publish(by, at).expect("a legal transition");
        let entry = HistoryEntry::of(&published, Some(&edited.article));
        assert_eq!(entry.changed, ["state", "published_at"]);
        assert_eq!(
            (entry.version, entry.event, entry.state),
            (Version::new(3), Event::Published, State::Published)
        );
        let restored = published.article.restore(old, by, at).expect("a legal transition");
        let entry = HistoryEntry::of(&restored, Some(&published.article));
        assert_eq!((entry.changed, entry.from), (vec!["title", "author", "tags"], Some(Version::FIRST)));
    }
}
