//! Calls to other processes: neighbours, clients, retries, and a breaker for a dependency that fails.

mod breaker;
mod client;
mod retry;
mod surroundings;

pub use breaker::{Breaker, BreakerSettings, Broken};
pub use client::own_client;
pub use retry::{Retry, RetryRule};
pub use surroundings::Surroundings;
