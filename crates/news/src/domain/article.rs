use kernel::{ArticleId, Identity, Section, TextError, Timestamp, UserId, Version, cut, line, nfc};

use super::{Command, Event, Slug, State, Story};

/// The name under which an article appears. It is text like the title, or the name of an account. That is personal data, so
/// bylines stand beside the events and not in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byline {
    text: String,
    of: Option<UserId>,
}

impl Byline {
    const MAX: usize = 50;

    /// Checks a typed byline: one line of 1 to 50 characters. It belongs to no account.
    ///
    /// # Errors
    /// [`TextError`], if it is not.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, Self::MAX).map(|()| Self { text: text.to_owned(), of: None })
    }

    /// Makes the byline of an account out of its name, which may be longer: what fits into 50 characters.
    pub fn of(name: &str, account: UserId) -> Self {
        Self { text: cut(name, Self::MAX).to_owned(), of: Some(account) }
    }

    /// Wraps a byline that was stored before, with the account whose name it is or was: the text is empty after an erasure.
    pub fn stored(text: String, of: Option<UserId>) -> Self {
        Self { text, of }
    }

    /// Reads a byline that `writer` typed over an article whose byline is `now`.
    ///
    /// What a read gave can be written back: it changes nothing, also if it is empty after an erasure. A writer's own name is
    /// theirs, whether it was typed or came from the account.
    ///
    /// # Errors
    /// [`TextError`], if it is another text and not a byline.
    pub fn typed(text: &str, now: Option<&Self>, writer: &Identity) -> Result<Self, TextError> {
        if let Some(now) = now.filter(|now| nfc(&now.text) == nfc(text)) {
            return Ok(now.clone());
        }
        let byline = Self::parse(text)?;
        let own = Self::of(&writer.name, writer.user);
        let of = own.of.filter(|_| nfc(text.trim()) == nfc(&own.text));
        Ok(Self { of, ..byline })
    }

    /// Returns the byline as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the account whose name it is. Nothing, if it is text: no erasure takes it away.
    pub fn owner(&self) -> Option<UserId> {
        self.of
    }
}

/// A public correction of a published article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// correction, clarification, update or note.
    pub kind: String,
    /// What was wrong and what is right.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// The version that it led to.
    pub version: Version,
}

/// An article as it is at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// Unique over all sections.
    pub id: ArticleId,
    /// The section that owns it.
    pub section: Section,
    /// One more with every change.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// The readable part of its address.
    pub slug: Slug,
    /// What it says.
    pub story: Story,
    /// Under whose name.
    pub byline: Byline,
    /// The account that wrote it.
    pub author: UserId,
    /// When it was drafted.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// When it was first published.
    pub published_at: Option<Timestamp>,
    /// What was corrected since, oldest first.
    pub corrections: Vec<Correction>,
}

/// One step in the life of an article: what happened, and the article from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: Event,
    /// The full new version.
    pub article: Article,
    /// Who did it.
    pub by: UserId,
    /// The version whose text came back, where an older one was restored.
    pub from: Option<Version>,
}

/// Everything that a new draft needs.
#[derive(Debug, Clone)]
pub struct Drafting {
    /// The new id.
    pub id: ArticleId,
    /// Its section.
    pub section: Section,
    /// A slug that is hoped to be free.
    pub slug: Slug,
    /// What it says.
    pub story: Story,
    /// Under whose name.
    pub byline: Byline,
    /// Who writes it.
    pub author: UserId,
    /// The present.
    pub at: Timestamp,
}

/// The state machine has no such step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("An article that is {state} can't be {}.", past(*.command))]
pub struct IllegalTransition {
    /// Where the article stands.
    pub state: State,
    /// What was wanted.
    pub command: Command,
}

const fn past(command: Command) -> &'static str {
    match command {
        Command::Revise => "revised",
        Command::Publish => "published",
        Command::Delete => "deleted",
        Command::Unpublish => "unpublished",
        Command::Restore => "restored",
        Command::Undelete => "undeleted",
    }
}

impl Article {
    /// The first version: a draft.
    pub fn draft(new: Drafting) -> Change {
        let article = Article {
            id: new.id,
            section: new.section,
            version: Version::FIRST,
            state: State::Draft,
            slug: new.slug,
            story: new.story,
            byline: new.byline,
            author: new.author,
            created_at: new.at,
            updated_at: new.at,
            published_at: None,
            corrections: Vec::new(),
        };
        Change { event: Event::Drafted, by: article.author, article, from: None }
    }

    /// The next version, saying something else.
    pub fn revise(
        &self,
        story: Story,
        byline: Byline,
        by: UserId,
        at: Timestamp,
    ) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Command::Revise, by, at)?;
        change.article.story = story;
        change.article.byline = byline;
        Ok(change)
    }

    /// The next version, public. What was public once keeps the time of it.
    pub fn publish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Command::Publish, by, at)?;
        change.article.published_at = self.published_at.or(Some(change.article.updated_at));
        Ok(change)
    }

    /// The next version, put away.
    pub fn delete(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Command::Delete, by, at)
    }

    /// The next version, not public any more.
    pub fn unpublish(&self, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        self.step(Command::Unpublish, by, at)
    }

    /// The next version, saying what `old` said, under the name that stood over it. Where the article stands and what was publicly
    /// corrected stay as they are: neither was taken back by going back.
    pub fn restore(&self, old: &Article, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Command::Restore, by, at)?;
        change.article.story = old.story.clone();
        change.article.byline = old.byline.clone();
        change.from = Some(old.version);
        Ok(change)
    }

    /// The next version, back in the state in which it was before it was put away.
    pub fn undelete(&self, before: State, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let mut change = self.step(Command::Undelete, by, at)?;
        change.article.state = before;
        Ok(change)
    }

    fn step(&self, command: Command, by: UserId, at: Timestamp) -> Result<Change, IllegalTransition> {
        let illegal = IllegalTransition { state: self.state, command };
        let (event, state) = self.state.on(command).ok_or(illegal)?;
        let article = Article {
            version: self.version.next(),
            state,
            // Clocks of two machines differ; the time of a version never runs backwards.
            updated_at: at.max(self.updated_at),
            ..self.clone()
        };
        Ok(Change { event, article, by, from: None })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::StoryInput;

    fn story(title: &str) -> Story {
        let input =
            StoryInput { title: title.to_owned(), content: "text".to_owned(), ..StoryInput::default() };
        Story::parse(input).expect("a valid story")
    }

    fn drafted() -> Change {
        let id = ArticleId::new(Uuid::from_u128(7));
        Article::draft(Drafting {
            id,
            section: Section::Sports,
            slug: Slug::candidates("A title", id)[0].clone(),
            story: story("A title"),
            byline: Byline::of("Ada", UserId::new(Uuid::from_u128(1))),
            author: UserId::new(Uuid::from_u128(1)),
            at: Timestamp::from_millis(1_000),
        })
    }

    fn give(article: &Article, command: Command, at: Timestamp) -> Result<Change, IllegalTransition> {
        let by = UserId::new(Uuid::from_u128(2));
        match command {
            Command::Revise => article.revise(story("Another"), Byline::of("Bob", by), by, at),
            Command::Publish => article.publish(by, at),
            Command::Delete => article.delete(by, at),
            Command::Unpublish => article.unpublish(by, at),
            Command::Restore => article.restore(&drafted().article, by, at),
            Command::Undelete => article.undelete(State::Draft, by, at),
        }
    }

    fn commands() -> impl Strategy<Value = Vec<(Command, u64)>> {
        let one = (prop::sample::select(Command::ALL.to_vec()), 0u64..10_000);
        prop::collection::vec(one, 0..30)
    }

    proptest! {
        #[test]
        fn a_command_succeeds_exactly_where_it_is_allowed(commands in commands()) {
            let mut article = drafted().article;
            for (command, _) in commands {
                let allowed = article.state.allowed().contains(&command);
                match give(&article, command, article.updated_at) {
                    Ok(change) => {
                        prop_assert!(allowed);
                        prop_assert_eq!(Some((change.event, change.article.state)), article.state.on(command));
                        article = change.article;
                    }
                    Err(illegal) => {
                        prop_assert!(!allowed);
                        prop_assert_eq!(illegal, IllegalTransition { state: article.state, command });
                    }
                }
            }
        }

        #[test]
        fn versions_count_up_and_what_identifies_an_article_never_changes(commands in commands()) {
            let first = drafted().article;
            let mut article = first.clone();
            let mut at = article.updated_at;
            for (command, later) in commands {
                at = at.plus(Duration::from_millis(later));
                let Ok(change) = give(&article, command, at) else { continue };
                prop_assert_eq!(change.article.version, article.version.next());
                prop_assert!(change.article.updated_at >= article.updated_at);
                article = change.article;
                prop_assert_eq!(
                    (article.id, article.section, &article.slug, article.author, article.created_at),
                    (first.id, first.section, &first.slug, first.author, first.created_at)
                );
            }
        }

        #[test]
        fn the_time_of_publication_is_set_once_and_stays(commands in commands()) {
            let mut article = drafted().article;
            let mut at = article.updated_at;
            for (command, later) in commands {
                at = at.plus(Duration::from_millis(later));
                let Ok(change) = give(&article, command, at) else { continue };
                match article.published_at {
                    Some(first) => prop_assert_eq!(change.article.published_at, Some(first)),
                    None if change.event == Event::Published => {
                        prop_assert_eq!(change.article.published_at, Some(at));
                    }
                    None => prop_assert_eq!(change.article.published_at, None),
                }
                article = change.article;
                prop_assert!(article.state != State::Published || article.published_at.is_some());
            }
        }

        #[test]
        fn what_was_published_is_never_deleted(commands in commands()) {
            let mut article = drafted().article;
            for (command, _) in commands {
                let before = article.state;
                let Ok(change) = give(&article, command, article.updated_at) else { continue };
                prop_assert!(before != State::Published || change.event != Event::Deleted);
                article = change.article;
            }
        }
    }

    #[test]
    fn time_never_runs_backwards_even_when_a_clock_does() {
        let article = drafted().article;
        let change = article.publish(article.author, Timestamp::from_millis(5)).expect("a legal step");
        assert_eq!(change.article.updated_at, article.updated_at);
        assert_eq!(change.article.published_at, Some(article.updated_at));
    }

    #[test]
    fn a_restored_version_says_what_the_old_one_said_and_stays_where_it_is() {
        let old = drafted().article;
        let by = UserId::new(Uuid::from_u128(2));
        let at = Timestamp::from_millis(9_000);
        let revised =
            old.revise(story("Another"), Byline::of("Bob", by), by, at).expect("a legal step").article;
        let mut published = revised.publish(by, at).expect("a legal step").article;
        published.corrections.push(Correction {
            kind: "note".to_owned(),
            text: "It was Tuesday.".to_owned(),
            at,
            version: published.version,
        });
        let change = published.restore(&old, by, at).expect("a legal step");
        assert_eq!((change.event, change.from), (Event::Restored, Some(old.version)));
        assert_eq!((&change.article.story, &change.article.byline), (&old.story, &old.byline));
        assert_eq!(change.article.state, State::Published);
        assert_eq!(change.article.version, published.version.next());
        assert_eq!(change.article.corrections, published.corrections);
    }

    #[test]
    fn what_was_put_away_comes_back_to_where_it_stood() {
        let by = UserId::new(Uuid::from_u128(2));
        let at = Timestamp::from_millis(9_000);
        let published = drafted().article.publish(by, at).expect("a legal step").article;
        let unpublished = published.unpublish(by, at).expect("a legal step").article;
        let deleted = unpublished.delete(by, at).expect("a legal step").article;
        let back = deleted.undelete(unpublished.state, by, at).expect("a legal step").article;
        assert_eq!((back.state, back.published_at), (State::Unpublished, published.published_at));
    }

    fn named(name: &str) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(7)),
            name: name.to_owned(),
            role: kernel::Role::Author,
            sections: kernel::Sections::All,
            history: false,
            session: kernel::SessionId::new(Uuid::nil()),
        }
    }

    #[test]
    fn a_long_account_name_is_cut_to_a_byline_between_its_characters() {
        let of = |name: &str| Byline::of(name, named("").user).text;
        assert_eq!(of(&"Ä".repeat(100)), "Ä".repeat(50));
        assert_eq!(of(&format!("{} e\u{301}", "x".repeat(48))), "x".repeat(48));
        assert_eq!(of("  Ada Lovelace "), "Ada Lovelace");
        assert_eq!(Byline::parse(&"x".repeat(51)), Err(TextError::TooLong(50)));
    }

    #[test]
    fn a_byline_is_an_account_s_if_it_is_its_name_and_text_otherwise() {
        let ada = named("Zoe\u{308} Ada");
        let typed = |text: &str, now: Option<&Byline>| Byline::typed(text, now, &ada);
        let own = typed(" Zoë Ada", None).expect("a byline");
        assert_eq!((own.as_str(), own.owner()), (" Zoë Ada", Some(ada.user)));
        let text = typed("Newsroom", Some(&own)).expect("a byline");
        assert_eq!((text.as_str(), text.owner()), ("Newsroom", None));
    }

    #[test]
    fn a_byline_that_was_read_can_be_written_back() {
        let other = UserId::new(Uuid::from_u128(8));
        for now in [Byline::of("Zoë", other), Byline::stored(String::new(), Some(other))] {
            assert_eq!(Byline::typed(now.as_str(), Some(&now), &named("Ada")), Ok(now));
        }
        assert_eq!(Byline::typed("", Some(&Byline::of("Zoë", other)), &named("Ada")), Err(TextError::Empty));
        assert_eq!(Byline::typed("", None, &named("Ada")), Err(TextError::Empty));
    }
}
