use std::time::Duration;

use chassis::StoreFailure;
use kernel::{Class, Fault, FieldFault, Kind, Version};
use serde_json::{Map, Value};

use crate::domain::{ActionError, Denied, IllegalTransition, Transition};
use crate::ports::AppendError;

/// Why a section did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// Somebody may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Some fields break a rule.
    #[error("The article breaks a rule; see errors.")]
    Invalid(Vec<FieldFault>),
    /// The writer has not seen the newest version.
    #[error("The article has changed since it was read.")]
    Stale {
        /// The version that is there.
        current: Option<Version>,
    },
    /// The state machine has no such step.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The account of the writer's token was erased.
    #[error("The account of this token is gone.")]
    Erased,
    /// The command is being done, under the same key.
    #[error("The first request with this key is not done yet.")]
    StillRunning,
    /// The command was done by somebody else while this one was on its way.
    #[error("The command was answered before, under the same key.")]
    Answered,
    /// The key came with another request.
    #[error("This key was used for another request.")]
    KeyReused,
    /// The version is stored, and the query side does not have it yet.
    #[error("this version is not projected yet")]
    NotYetProjected,
    /// So many texts are being compared that this comparison would have to wait.
    #[error("too many texts are being compared at this moment")]
    Busy,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl From<ActionError> for NewsError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Illegal(illegal) => NewsError::Illegal(illegal),
            ActionError::Invalid(faults) => NewsError::Invalid(faults),
        }
    }
}

impl From<AppendError> for NewsError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Stale { current } => NewsError::Stale { current },
            AppendError::Erased => NewsError::Erased,
            AppendError::Answered => NewsError::Answered,
            AppendError::Store(failure) => NewsError::Store(failure),
            // Every other candidate was tried; the last one holds the article's own id.
            AppendError::SlugTaken => {
                NewsError::Store(StoreFailure::broken("a slug with an article's id is taken"))
            }
        }
    }
}

impl Fault for NewsError {
    fn classify(&self) -> Class<'_> {
        match self {
            NewsError::Denied(Denied::Anonymous) => Class::own(Kind::Unauthenticated, "unauthenticated"),
            NewsError::Denied(Denied::NotThere) => Class::own(Kind::NotFound, "not_found"),
            NewsError::Denied(Denied::Role(_)) => Class::own(Kind::Forbidden, "role_required"),
            NewsError::Denied(Denied::SelfReview) => Class::own(Kind::Forbidden, "self_review"),
            NewsError::Invalid(_) => Class::own(Kind::Invalid, "invalid"),
            NewsError::Stale { .. } => Class::own(Kind::Stale, "stale_version"),
            NewsError::Illegal(_) => Class::own(Kind::Conflict, "illegal_transition"),
            NewsError::Erased => Class::own(Kind::Unauthenticated, "invalid_token"),
            NewsError::StillRunning | NewsError::Answered => Class::own(Kind::Conflict, "still_running"),
            NewsError::KeyReused => Class::own(Kind::Invalid, "idempotency_key_reused"),
            NewsError::NotYetProjected => Class::own(Kind::Unavailable, "not_yet_projected"),
            NewsError::Busy => Class::own(Kind::Unavailable, "busy"),
            NewsError::Store(failure) => Class::Inner(failure),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            NewsError::Invalid(fields) => fields.clone(),
            _ => Vec::new(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let mut extra = Map::new();
        match self {
            NewsError::Stale { current: Some(version) } => {
                extra.insert("current_version".to_owned(), version.number().into());
            }
            NewsError::Illegal(illegal) => {
                let allowed: Vec<&str> =
                    illegal.state.allowed().into_iter().map(Transition::as_str).collect();
                extra.insert("state".to_owned(), illegal.state.as_str().into());
                extra.insert("allowed".to_owned(), allowed.into());
            }
            _ => {}
        }
        extra
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, NewsError::NotYetProjected | NewsError::Busy).then_some(Duration::from_secs(1))
    }
}
