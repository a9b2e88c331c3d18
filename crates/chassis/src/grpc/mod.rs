//! gRPC between services: client and server, replicas, the callers that a server knows, health and
//! reflection.

mod callers;
mod health;
mod replicas;
pub mod transport;

pub use callers::{GrpcCaller, GrpcConfig, token_fault};
pub use health::Described;
pub(crate) use health::{IsWell, add_health_and_reflection};
pub use transport::Transport;
