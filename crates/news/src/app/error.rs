use std::time::Duration;

use chassis::StoreFailure;
use kernel::{Class, Fault, FieldFault, Kind, Version};
use serde_json::{Map, Value};

use crate::domain::{AccessDenied, IllegalTransition, Transition};
use crate::ports::AppendError;

/// The reason why a use case of a section failed.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// The caller is not allowed to.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// Some fields break a rule.
    #[error("Some fields break a rule; see errors.")]
    Invalid(Vec<FieldFault>),
    /// The caller has not seen the newest version.
    #[error(
        "The article has changed since it was read. Read it again and repeat the request with its version."
    )]
    Stale {
        /// The newest version.
        current: Option<Version>,
    },
    /// The state machine has no such transition.
    #[error("{illegal}")]
    Illegal {
        /// The state and the transition.
        illegal: IllegalTransition,
        /// The transitions that are legal now and that the caller is allowed to request.
        allowed: Vec<Transition>,
    },
    /// The account of the caller's token was erased.
    #[error("The account of this token was erased.")]
    Erased,
    /// The command is being executed, under the same key.
    #[error("The first request with this key is not finished. Repeat the request in a moment.")]
    StillRunning,
    /// Another request has done the command meanwhile, under the same key.
    #[error("Another request with this key was finished meanwhile. Repeat the request to get its answer.")]
    Answered,
    /// The key came with another request.
    #[error("This key was used for another request. Use a new key.")]
    KeyReused,
    /// The version is stored, and the query side does not have it yet.
    #[error("The version is stored, but it can't be shown yet.")]
    NotYetProjected,
    /// The comparison would have to wait, because too many texts are being compared.
    #[error("Too many texts are being compared at the moment.")]
    Busy,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
}

impl From<AppendError> for NewsError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Stale { current } => NewsError::Stale { current },
            AppendError::Erased => NewsError::Erased,
            AppendError::Answered => NewsError::Answered,
            AppendError::Store(failure) => NewsError::Store(failure),
            // All candidates were tried, and the last one contains the article's own id.
            AppendError::SlugTaken => {
                NewsError::Store(StoreFailure::broken("a slug that contains an article's id is taken"))
            }
        }
    }
}

impl Fault for NewsError {
    fn classify(&self) -> Class<'_> {
        match self {
            NewsError::Denied(AccessDenied::Anonymous) => {
                Class::own(Kind::Unauthenticated, "unauthenticated")
            }
            NewsError::Denied(AccessDenied::NotThere) => Class::own(Kind::NotFound, "not_found"),
            NewsError::Denied(AccessDenied::Role(_)) => Class::own(Kind::Forbidden, "role_required"),
            NewsError::Denied(AccessDenied::SelfReview) => Class::own(Kind::Forbidden, "self_review"),
            NewsError::Denied(AccessDenied::Retracted(_)) => Class::own(Kind::Gone, "retracted"),
            NewsError::Invalid(_) => Class::own(Kind::Invalid, "invalid"),
            NewsError::Stale { .. } => Class::own(Kind::Stale, "stale_version"),
            NewsError::Illegal { .. } => Class::own(Kind::Conflict, "illegal_transition"),
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
            NewsError::Denied(AccessDenied::Retracted(retraction)) => {
                extra.insert("reason".to_owned(), retraction.reason.clone().into());
                extra.insert("retracted_at".to_owned(), retraction.at.to_string().into());
            }
            NewsError::Illegal { illegal, allowed } => {
                let allowed: Vec<&str> = allowed.iter().copied().map(Transition::as_str).collect();
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
