//! Articles, the actions on them and the rights to these actions. Pure: no I/O, no wire format.

mod actions;
mod article;
mod byline;
mod chain;
mod corrections;
mod diff;
mod list;
mod past;
mod proof;
mod rules;
mod slug;
mod state;
mod story;
mod workflow;

pub use actions::{Action, ActionError, Change, CorrectionInput, with_byline};
pub use article::{Article, Correction, CorrectionKind, NewDraft, Retraction};
pub use byline::Byline;
#[cfg(test)]
pub use chain::verify_chain;
pub use chain::{BrokenChain, ChainLink, ChainVerifier, GENESIS, RecordHead, chain_hash};
pub use corrections::{ArticleCorrection, CorrectionFilter, CorrectionPart, CorrectionPosition};
pub use diff::{DiffOp, DiffPart, diff};
pub use list::{Filter, Order, Part, Position, Start, due_at, in_order_of, placed_at};
pub use past::{HistoryBuilder, HistoryEntry, HistoryPage};
pub use proof::{Proof, ProofBuilder, ProofLink, ProofPart, is_guessable};
pub use rules::{
    AccessDenied, Newsroom, VisibleVersions, allowed, may_change, may_create, may_look_back, may_see,
};
pub use slug::Slug;
pub use state::{State, UnknownName};
#[cfg(any(test, feature = "servers"))]
pub use story::MAX_CONTENT_BYTES;
pub use story::{Story, StoryInput, StoryPatch, is_language};
pub use workflow::{Event, IllegalTransition, Permission, Standing, Transition};
