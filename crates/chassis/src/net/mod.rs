//! Calls to other processes: neighbours, clients, and a breaker for a service that does not answer.

mod breaker;
mod client;
mod surroundings;

pub use breaker::{Breaker, BreakerSettings, Broken};
pub use client::own_client;
pub use surroundings::Surroundings;
