#![doc = include_str!("../README.md")]

/// Each password hash takes 19 MiB. The allocator of the system keeps such blocks in the arena of the thread
/// that allocated them, so a storm of logins would stay in memory for good. This one returns them.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod config;
mod files;
mod grpc;
mod host;
pub mod http;
mod identity;
mod net;
mod observe;
mod store;
mod values;
mod work;

pub use files::{
    FOLDER_LOCK, claim_folder, keep_files_private, make_private_folder, open_private, read_secret,
    replace_private, write_private,
};
pub use grpc::{Described, GrpcCaller, GrpcConfig, Transport, token_fault, transport};
pub use host::{Host, Internal, Service, failed, main, prepare, stop_signal};
pub use identity::{AUDIENCE, Claims, IdentityConfig, Verifier, VerifyError, install_ed25519};
pub use net::{Breaker, BreakerSettings, Broken, Retry, RetryRule, Surroundings, own_client};
pub use observe::{
    Context, Counting, Upstream, finish_output, log_failure, metrics, print, print_in_background, say, spans,
    telemetry,
};
pub use store::{
    Erasable, OpenedStore, SqliteErasure, StoreFailure, StoredTime, StoredVersion, enqueue_erasure, in_time,
    sqlite,
};
#[cfg(feature = "servers")]
pub use store::{PostgresErasure, owe_postgres, postgres};
pub use values::{Url, UrlParts, causes};
pub use work::{
    CachedProbe, Cleanup, Closer, Dependency, POLL, ProbeFuture, Runnable, Step, Worker, back_off, drive,
    pause, spawn,
};
