//! What an article is, what may happen to it and who may do it. Pure: no I/O, no wire format.

mod article;
mod chain;
mod rules;
mod slug;
mod state;
mod story;

pub use article::{Article, Byline, Change, Correction, Drafting, IllegalTransition};
pub use chain::{Broken, GENESIS, Link, follow, link};
pub use rules::{Denied, Newsroom, may_change, may_create, may_see};
pub use slug::Slug;
pub use state::{Command, Event, State, UnknownName};
pub use story::{MAX_CONTENT_BYTES, Story, StoryInput, StoryPatch, is_language};
