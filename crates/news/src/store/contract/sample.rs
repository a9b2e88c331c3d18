//! Articles and changes for the cases.

use kernel::{ArticleId, MessageId, Section, Timestamp, Trace, UserId};
use uuid::Uuid;

use crate::codec::event_message;
use crate::domain::{Article, Byline, Change, NewDraft, Slug, Story, StoryInput};
use crate::ports::ChangeWithMessage;

/// The account that writes all articles of the samples.
pub fn author() -> UserId {
    UserId::new(Uuid::from_u128(0xa))
}

pub fn id(number: u128) -> ArticleId {
    ArticleId::new(Uuid::from_u128(number))
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_763_700_000_000 + millis)
}

/// A text with characters that a careless store damages.
pub const AWKWARD: &str =
    "It's \"quoted\" — 50 % \\ ; drop table events; --\r\n\t\u{202b}שלום\u{202c} 🗞️ <b>bold</b>";

pub fn story(title: &str) -> Story {
    let input = StoryInput {
        title: title.to_owned(),
        description: Some("Two lines\nfor lists".to_owned()),
        content: AWKWARD.to_owned(),
        tags: vec!["budget".to_owned(), "o'neill".to_owned()],
        lang: Some("en".to_owned()),
        image: Some("https://example.org/a.jpg".to_owned()),
        region: Some("GB".to_owned()),
        byline: None,
    };
    Story::parse(input).expect("a valid story")
}

pub fn drafted(number: u128) -> Change {
    let id = id(number);
    Article::draft(NewDraft {
        id,
        section: Section::Sports,
        slug: Slug::stored(format!("article-{number}")),
        story: story(&format!("Article {number}")),
        byline: Byline::of("Ada O'Neill", author()),
        author: author(),
        at: at(0),
    })
}

/// Returns an article that was published this many milliseconds after the start of the samples.
pub fn published(number: u128, millis: i64) -> Article {
    drafted(number).article.publish(author(), at(millis)).expect("a draft can be published").article
}

pub fn revised(article: &Article, title: &str) -> Change {
    let byline = article.byline.clone();
    article.revise(story(title), byline, author(), article.updated_at).expect("it can be revised")
}

pub fn with_message(change: Change) -> ChangeWithMessage {
    let message = event_message(&change, MessageId::new(Uuid::new_v4()), Trace::start());
    ChangeWithMessage { change, message }
}

/// Returns the same change by another account, an editor.
pub fn by_another(change: Change) -> Change {
    Change { by: UserId::new(Uuid::from_u128(0xed)), ..change }
}
