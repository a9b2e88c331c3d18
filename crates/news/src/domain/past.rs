use kernel::{Timestamp, UserId, Version};

use super::{Article, Change, Event, State};

/// One step in the life of an article, without what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The version that it led to.
    pub version: Version,
    /// What happened.
    pub event: Event,
    /// Who did it: an id, which stays when the person goes.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// Where the article stood from then on.
    pub state: State,
    /// The names of the fields that differ from the version before; of the first version those that it has.
    pub changed: Vec<&'static str>,
    /// The version whose text came back, where an older one was restored.
    pub from: Option<Version>,
}

impl Step {
    /// The step that `change` was, from what the article was `before`.
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

/// Makes steps of changes that come one after the other, the newest first, and holds two of them at a time: an article may be
/// long, and its history longer.
#[derive(Debug)]
pub struct Backwards {
    limit: usize,
    later: Option<Change>,
    steps: Vec<Step>,
}

impl Backwards {
    /// At most `limit` steps. For all of them one change more is needed: the one before the oldest.
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, later: None, steps: Vec::new() }
    }

    /// The next change, which is the one before the last.
    pub fn take(&mut self, change: Change) {
        if let Some(later) = self.later.take() {
            self.steps.push(Step::of(&later, Some(&change.article)));
        }
        self.later = Some(change);
    }

    /// The steps. Where there were fewer changes than `limit` and one more, the last of them was the first of all.
    pub fn steps(mut self) -> Vec<Step> {
        if self.steps.len() < self.limit {
            self.steps.extend(self.later.map(|first| Step::of(&first, None)));
        }
        self.steps
    }
}

/// The names are those of the fields in answers.
fn changed(before: Option<&Article>, now: &Article) -> Vec<&'static str> {
    let field = |name: &'static str, differs: &dyn Fn(&Article) -> bool, there: bool| {
        before.map_or(there, differs).then_some(name)
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
    use crate::domain::{Byline, Drafting, Slug, Story, StoryInput};

    fn story(title: &str, tags: &[&str]) -> Story {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let input =
            StoryInput { title: title.to_owned(), content: "text".to_owned(), tags, ..StoryInput::default() };
        Story::parse(input).expect("a valid story")
    }

    #[test]
    fn a_step_names_what_it_changed_and_the_first_what_is_there() {
        let id = ArticleId::new(Uuid::from_u128(7));
        let by = UserId::new(Uuid::from_u128(1));
        let at = Timestamp::from_millis(1_000);
        let drafted = Article::draft(Drafting {
            id,
            section: Section::Sports,
            slug: Slug::candidates("A", id)[0].clone(),
            story: story("A", &[]),
            byline: Byline::of("Ada", by),
            author: by,
            at,
        });
        assert_eq!(Step::of(&drafted, None).changed, ["state", "title", "content", "author"]);
        let old = &drafted.article;
        let edited = old.revise(story("B", &["cup"]), Byline::of("Bob", by), by, at).expect("a legal step");
        assert_eq!(Step::of(&edited, Some(old)).changed, ["title", "author", "tags"]);
        let published = edited.article.publish(by, at).expect("a legal step");
        let step = Step::of(&published, Some(&edited.article));
        assert_eq!(step.changed, ["state", "published_at"]);
        assert_eq!(
            (step.version, step.event, step.state),
            (Version::new(3), Event::Published, State::Published)
        );
        let restored = published.article.restore(old, by, at).expect("a legal step");
        let step = Step::of(&restored, Some(&published.article));
        assert_eq!((step.changed, step.from), (vec!["title", "author", "tags"], Some(Version::FIRST)));
    }
}
