//! Articles, the actions on them and the rights to these actions. Pure: no I/O, no wire format.

mod actions;
mod article;
mod byline;
mod chain;
mod diff;
mod list;
mod past;
mod rules;
mod slug;
mod state;
mod story;

pub use actions::{Action, ActionError, Event, IllegalTransition, Permission, Transition, with_byline};
pub use article::{Article, Change, Correction, Drafting};
pub use byline::Byline;
pub use chain::{Broken, Follower, GENESIS, Link, follow, link};
pub use diff::{DiffOp, DiffPart, diff};
pub use list::{Filter, Order, Part, Position, Start, placed_at};
pub use past::{Backwards, Step};
pub use rules::{Denied, Newsroom, Past, may_change, may_create, may_look_back, may_see};
pub use slug::Slug;
pub use state::{State, UnknownName};
pub use story::{MAX_CONTENT_BYTES, Story, StoryInput, StoryPatch, is_language};
