//! What this service does: one file per use case.

mod bootstrap;
mod consent;
mod erase;
mod error;
mod get;
mod health;
mod list;
mod login;
mod passwords;
mod register;
mod roles;
mod settle;
mod standing;
mod tokens;
mod update;

use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Ids, MessageId, UserId};
use tokio::sync::Notify;

pub use bootstrap::FirstAdmin;
pub use error::UserError;
pub use list::Slice;
pub use login::Login;
pub use passwords::{HashingCost, Passwords};
pub use register::Register;
pub use settle::BATCH;
pub use tokens::Tokens;
pub use update::Update;

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
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    /// Told when a registration came in.
    pub(crate) arrived: Arc<Notify>,
}

impl App {
    fn new_user_id(&self) -> UserId {
        UserId::new(self.ids.next())
    }

    fn new_message_id(&self) -> MessageId {
        MessageId::new(self.ids.next())
    }
}
