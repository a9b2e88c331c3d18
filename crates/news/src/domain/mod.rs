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

pub use actions::{
    Action, ActionError, Change, Event, IllegalTransition, Permission, Transition, with_byline,
};
pub use article::{Article, Correction, NewDraft};
pub use byline::Byline;
#[cfg(test)]
pub use chain::verify_chain;
pub use chain::{BrokenChain, ChainLink, ChainVerifier, GENESIS, chain_hash};
pub use diff::{DiffOp, DiffPart, diff};
pub use list::{Filter, Order, Part, Position, Start, in_order_of, placed_at};
pub use past::{HistoryBuilder, HistoryEntry};
pub use rules::{AccessDenied, Newsroom, Past, may_change, may_create, may_look_back, may_see};
pub use slug::Slug;
pub use state::{State, UnknownName};
#[cfg(any(test, feature = "servers"))]
pub use story::MAX_CONTENT_BYTES;
pub use story::{Story, StoryInput, StoryPatch, is_language};
