use std::time::Duration;

use chassis::StoreFailure;
use kernel::{Code, Fault, FieldFault, Kind, Version};
use serde_json::{Map, Value};

use crate::domain::{Denied, IllegalTransition};
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
    fn kind(&self) -> Kind {
        match self {
            NewsError::Denied(Denied::Anonymous) | NewsError::Erased => Kind::Unauthenticated,
            NewsError::Denied(Denied::NotThere) => Kind::NotFound,
            NewsError::Denied(Denied::Role(_) | Denied::SelfReview) => Kind::Forbidden,
            NewsError::Invalid(_) | NewsError::KeyReused => Kind::Invalid,
            NewsError::Stale { .. } => Kind::Stale,
            NewsError::Illegal(_) | NewsError::StillRunning | NewsError::Answered => Kind::Conflict,
            NewsError::NotYetProjected | NewsError::Busy => Kind::Unavailable,
            NewsError::Store(failure) => failure.kind(),
        }
    }

    fn code(&self) -> Code {
        match self {
            NewsError::Denied(Denied::Anonymous) => Code::new("unauthenticated"),
            NewsError::Denied(Denied::NotThere) => Code::new("not_found"),
            NewsError::Denied(Denied::Role(_)) => Code::new("role_required"),
            NewsError::Denied(Denied::SelfReview) => Code::new("self_review"),
            NewsError::Invalid(_) => Code::new("invalid"),
            NewsError::Stale { .. } => Code::new("stale_version"),
            NewsError::Illegal(_) => Code::new("illegal_transition"),
            NewsError::Erased => Code::new("invalid_token"),
            NewsError::StillRunning | NewsError::Answered => Code::new("still_running"),
            NewsError::KeyReused => Code::new("idempotency_key_reused"),
            NewsError::NotYetProjected => Code::new("not_yet_projected"),
            NewsError::Busy => Code::new("busy"),
            NewsError::Store(failure) => failure.code(),
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
                    illegal.state.allowed().into_iter().map(|command| command.as_str()).collect();
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
