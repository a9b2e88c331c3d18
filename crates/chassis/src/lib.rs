#![doc = include_str!("../README.md")]

mod breaker;
pub mod config;
mod context;
mod failure;
pub mod http;
mod identity;
mod main_of;
mod service;
pub mod sqlite;
mod surroundings;
pub mod telemetry;
pub mod transport;
mod work;

pub use breaker::{Breaker, BreakerSettings, Broken};
pub use context::Context;
pub use failure::{StoreFailure, causes};
pub use identity::{AUDIENCE, Claims, IdentityConfig, Verifier, VerifyError};
pub use main_of::{failed, install_tls, main};
pub use service::{Host, Service, asked_to_stop};
pub use surroundings::Surroundings;
pub use transport::Transport;
pub use work::{Closer, Dependency, POLL, Runnable, Step, Worker, drive, pause, spawn};
