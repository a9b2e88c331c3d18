#![doc = include_str!("../README.md")]

/// Each password hash takes 19 MiB. The system's allocator keeps such blocks in the arena of whichever thread asked for them,
/// so that a storm of logins stays in memory for good; this one gives them back.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod breaker;
mod callers;
pub mod config;
mod context;
mod erasure;
mod failure;
mod folder;
mod forgetting;
mod grpc_self;
pub mod http;
mod identity;
mod in_time;
mod listener;
mod main_of;
pub mod metrics;
mod output;
mod own_client;
#[cfg(unix)]
mod owners;
pub mod postgres;
mod private;
mod replicas;
mod seldom;
mod service;
mod signals;
pub mod spans;
pub mod sqlite;
mod statements;
mod surroundings;
pub mod telemetry;
pub mod transport;
mod url;
mod work;

pub use breaker::{Breaker, BreakerSettings, Broken};
pub use callers::{GrpcCaller, GrpcConfig, token_fault};
pub use context::{Context, Counting, Upstream};
pub use erasure::{Erasable, PostgresErasure, SqliteErasure, owe_postgres, owe_sqlite};
pub use failure::{StoreFailure, causes, log_failure};
pub use folder::{FOLDER_LOCK, claim_folder, make_private_folder};
pub use forgetting::Forgetting;
pub use grpc_self::Described;
pub use identity::{AUDIENCE, Claims, IdentityConfig, Verifier, VerifyError};
pub use in_time::in_time;
pub use main_of::{failed, main, prepare};
pub use output::{mention, print, said, say};
pub use own_client::own_client;
pub use private::{keep_files_private, open_private, read_secret, replace_private, write_private};
pub use service::{Host, Internal, Service};
pub use signals::asked_to_stop;
pub use surroundings::Surroundings;
pub use transport::Transport;
pub use url::Url;
pub use work::{Closer, Dependency, Kept, POLL, Runnable, Step, Worker, back_off, drive, pause, spawn};
