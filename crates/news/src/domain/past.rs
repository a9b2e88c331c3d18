use kernel::{Timestamp, UserId, Version};

use super::{Article, Change, Correction, Event, Retraction, VisibleVersions};

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
    /// The names of the fields that differ from the version before, or from the one before that readers could
    /// see, if the history is theirs. For the first version: the names of the fields that it has.
    pub changed: Vec<&'static str>,
    /// The version whose text came back, if an older version was restored.
    pub from: Option<Version>,
    /// The note of the editor, if the article was returned.
    pub note: Option<String>,
    /// The time of the publication, if it was scheduled.
    pub scheduled_at: Option<Timestamp>,
    /// The notice, if the article was retracted.
    pub retraction: Option<Retraction>,
    /// The correction, if the article was corrected.
    pub correction: Option<Correction>,
}

/// A page of the history of an article.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The newest first.
    pub entries: Vec<HistoryEntry>,
    /// Older versions are before this one; `None` if there are none.
    pub next: Option<Version>,
}

impl HistoryEntry {
    /// Returns the entry of `change`, compared with the article `before` it.
    pub fn of(change: &Change, before: Option<&Article>) -> Self {
        let article = &change.article;
        let on = |event: Event| change.event == event;
        Self {
            version: article.version,
            event: change.event,
            by: change.by,
            at: article.updated_at,
            changed: compare_fields(before, article),
            from: change.from,
            note: article.review_note.clone().filter(|_| on(Event::Returned)),
            scheduled_at: article.scheduled_at.filter(|_| on(Event::Scheduled)),
            retraction: article.retraction.clone().filter(|_| on(Event::Retracted)),
            correction: article.corrections.last().filter(|_| on(Event::Corrected)).cloned(),
        }
    }
}

/// Builds a page of the history from changes that come one by one, the newest first. It holds two changes at
/// a time: an article can be long, and its history longer.
#[derive(Debug)]
pub struct HistoryBuilder {
    visible: VisibleVersions,
    limit: usize,
    examined: usize,
    later: Option<Change>,
    page: HistoryPage,
}

impl HistoryBuilder {
    /// Creates a builder of the page that examines `limit` versions, and shows those of `visible`. To compare
    /// the oldest entry it needs older changes too, until one is shown.
    pub fn new(visible: VisibleVersions, limit: u32) -> Self {
        Self { visible, limit: limit as usize, examined: 0, later: None, page: HistoryPage::default() }
    }

    /// Adds the next older change.
    pub fn add(&mut self, change: Change) {
        self.examined += 1;
        let is_on_page = self.examined <= self.limit;
        if is_on_page {
            self.page.next = Some(change.article.version).filter(|version| *version > Version::FIRST);
        }
        if !self.visible.shows(change.article.state) {
            return;
        }
        if let Some(later) = self.later.take() {
            self.page.entries.push(HistoryEntry::of(&later, Some(&change.article)));
        }
        self.later = Some(change).filter(|_| is_on_page);
    }

    /// True if no older change is needed.
    pub fn is_complete(&self) -> bool {
        self.examined >= self.limit && self.later.is_none()
    }

    /// Returns the page. If it is not complete, there are no older changes: so the oldest one that is shown
    /// is the first one.
    pub fn build(mut self) -> HistoryPage {
        self.page.entries.extend(self.later.map(|first| HistoryEntry::of(&first, None)));
        self.page
    }
}

/// Returns the names of the fields that differ, as they are in answers.
fn compare_fields(before: Option<&Article>, now: &Article) -> Vec<&'static str> {
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
        assert_eq!((entry.version, entry.event), (Version::new(3), Event::Published));
        let restored = published.article.restore(old, by, at).expect("a legal transition");
        let entry = HistoryEntry::of(&restored, Some(&published.article));
        assert_eq!((entry.changed, entry.from), (vec!["title", "author", "tags"], Some(Version::FIRST)));
    }
}
