//! What this service does: one file per use case.

mod background;
mod bootstrap;
mod consent;
mod create_admin;
mod erase;
mod error;
mod get;
mod health;
mod list;
mod login;
mod once;
mod passwords;
mod register;
mod roles;
mod sessions;
mod settle;
mod standing;
mod throttle;
mod tokens;
mod update;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Fault, Ids, MessageId, UserId};
use tokio::sync::Notify;

pub use bootstrap::FirstAdmin;
pub use create_admin::CreateAdmin;
pub use erase::Erase;
pub use error::UserError;
pub use health::Writes;
pub use list::Slice;
pub use login::Login;
pub use once::{Named, Registered};
pub use passwords::{HashingCost, Passwords};
pub use register::Register;
pub use sessions::{Grant, SessionError};
pub use settle::BATCH;
pub use throttle::Throttle;
pub use tokens::Tokens;
pub use update::{NewPassword, Update};

use crate::domain::{SessionRules, User};
use crate::ports::{Intake, UserCache, UserStore};

/// How long an e-mail is reserved for a registration or a change that is under way. Longer than the budget of a request, so
/// that a lease is lost only where a process hung or died; short, because until then the e-mail is refused to everybody.
const LEASE: Duration = Duration::from_secs(10);

/// The use cases over their ports.
pub struct App {
    pub(crate) store: Arc<dyn UserStore>,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) cache: Arc<dyn UserCache>,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: SessionRules,
    pub(crate) throttle: Throttle,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// Told when a registration came in.
    pub(crate) arrived: Arc<Notify>,
    /// Whether store and intake take writes, for the health check.
    pub(crate) writes: Writes,
}

impl App {
    fn new_user_id(&self) -> UserId {
        UserId::new(self.ids.next())
    }

    fn new_message_id(&self) -> MessageId {
        MessageId::new(self.ids.next())
    }

    /// Tells the cache what came of a change. One that did not say how it ended may have been done: then the store is asked until
    /// nobody holds an older copy.
    async fn told<E: Fault>(&self, id: UserId, outcome: Result<User, E>) -> Result<User, E> {
        match &outcome {
            Ok(user) => self.cache.put(user).await,
            Err(error) if error.kind().is_server_error() => self.cache.forget(id).await,
            Err(_) => {}
        }
        outcome
    }
}
