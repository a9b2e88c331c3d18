//! What an article is, what may happen to it and who may do it. Pure: no I/O, no wire format.

mod article;
mod chain;
mod diff;
mod list;
mod past;
mod rules;
mod slug;
mod state;
mod story;

pub use article::{Article, Byline, Change, Correction, Drafting, IllegalTransition};
pub use chain::{Broken, Follower, GENESIS, Link, follow, link};
pub use diff::{DiffOp, DiffPart, diff};
pub use list::{Filter, Order, Part, Position, Start, placed_at};
pub use past::{Backwards, Step};
pub use rules::{Denied, Newsroom, Past, may_change, may_create, may_look_back, may_see};
pub use slug::Slug;
pub use state::{Command, Event, State, UnknownName};
pub use story::{MAX_CONTENT_BYTES, Story, StoryInput, StoryPatch, is_language};
