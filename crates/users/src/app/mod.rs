//! The use cases of this service, one file for each.

mod accounts;
mod audit;
mod background;
mod bootstrap;
mod consent;
mod create_admin;
mod erase;
mod erasures;
mod error;
mod export;
mod get;
mod health;
mod idempotency;
mod list;
mod login;
mod passwords;
mod register;
mod roles;
mod sessions;
mod settle;
mod throttle;
mod token_check;
mod tokens;
mod update;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kernel::{Clock, Fault, Ids, MessageId, UserId};
use tokio::sync::{Notify, Semaphore};

pub use audit::{AuditPage, AuditRequest};
pub use bootstrap::FirstAdmin;
pub use create_admin::CreateAdmin;
pub use erase::EraseUser;
pub use error::UserError;
pub use export::{Export, ExportData};
pub use idempotency::{IdempotentRequest, Registration};
pub use list::ListRange;
pub use login::Login;
pub use passwords::{Passwords, PasswordsConfig};
pub use register::Register;
pub use sessions::{Grant, SessionError};
pub use throttle::AttemptLimitsConfig;
pub use tokens::Tokens;
pub use update::{ChangePassword, UpdateUser};

use crate::domain::{Network, Origin, SessionRules, User};
use crate::ports::{AuditLog, ErasureLog, ExportSources, ExportStore, Intake, UserCache, UserStore};
use health::WriteProbes;

/// The time for which an e-mail is reserved for a registration or a change in progress. It is longer than the
/// time limit of a request, so that a lease is lost only if a process hung or died. It is short, because
/// until then the e-mail is refused to everyone else.
const LEASE: Duration = Duration::from_secs(10);

/// The parts that [`App`] is made of.
pub struct Parts {
    /// The accounts.
    pub store: Arc<dyn UserStore>,
    /// The audit of the accounts.
    pub audit: Arc<dyn AuditLog>,
    /// The erasures with their receipts.
    pub erasures: Arc<dyn ErasureLog>,
    /// The parts of exports that have arrived.
    pub exports: Arc<dyn ExportStore>,
    /// The services that have parts of an export.
    pub sources: Arc<dyn ExportSources>,
    /// The time for which an entry of the audit is kept.
    pub audit_life: Duration,
    /// The registrations that are not in the store yet.
    pub intake: Arc<dyn Intake>,
    /// Lookups by id, and counts of attempts.
    pub cache: Arc<dyn UserCache>,
    /// Hashes and compares passwords.
    pub passwords: Passwords,
    /// Signs access tokens.
    pub tokens: Tokens,
    /// The rules of how long sessions last.
    pub sessions: SessionRules,
    /// The limits of attempts.
    pub throttle: AttemptLimitsConfig,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The source of new ids.
    pub ids: Arc<dyn Ids>,
}

/// The use cases over their ports.
pub struct App {
    pub(crate) store: Arc<dyn UserStore>,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) cache: Arc<dyn UserCache>,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: SessionRules,
    pub(crate) clock: Arc<dyn Clock>,
    /// Notified when a registration arrives.
    pub(crate) arrived: Arc<Notify>,
    passwords: Passwords,
    throttle: AttemptLimitsConfig,
    audit: Arc<dyn AuditLog>,
    erasures: Arc<dyn ErasureLog>,
    exports: Arc<dyn ExportStore>,
    sources: Arc<dyn ExportSources>,
    /// The places of the exports that are being made.
    exporting: Arc<Semaphore>,
    audit_life: Duration,
    ids: Arc<dyn Ids>,
    /// The latest checks that store and intake accept writes.
    writes: WriteProbes,
}

impl App {
    /// Puts the use cases together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            audit,
            erasures,
            exports,
            sources,
            audit_life,
            intake,
            cache,
            passwords,
            tokens,
            sessions,
            throttle,
            clock,
            ids,
        } = parts;
        Self {
            store,
            intake,
            cache,
            tokens,
            sessions,
            clock,
            arrived: Arc::default(),
            passwords,
            throttle,
            audit,
            erasures,
            exports,
            sources,
            exporting: Arc::new(Semaphore::new(export::PARALLEL_EXPORTS)),
            audit_life,
            ids,
            writes: WriteProbes::default(),
        }
    }

    /// Returns the origin of a change that a caller makes now, from this address.
    pub(crate) fn origin(&self, by: Option<UserId>, from: IpAddr) -> Origin {
        Origin { actor: by, network: Network::of(from), at: self.clock.now() }
    }

    /// Returns the origin of a change that the portal itself or its operator makes now.
    pub fn portal_origin(&self) -> Origin {
        Origin::portal(self.clock.now())
    }

    fn new_user_id(&self) -> UserId {
        UserId::new(self.ids.next())
    }

    fn new_message_id(&self) -> MessageId {
        MessageId::new(self.ids.next())
    }

    /// Applies the outcome of a change to the cache. If the outcome is unknown, the change may have been
    /// stored: then the account is forgotten, and the store is asked until no task holds an older copy.
    async fn update_cache<E: Fault>(&self, id: UserId, outcome: Result<User, E>) -> Result<User, E> {
        match &outcome {
            Ok(user) => self.cache.put(user).await,
            Err(error) if error.kind().is_server_error() => self.cache.forget(id).await,
            Err(_) => {}
        }
        outcome
    }
}
