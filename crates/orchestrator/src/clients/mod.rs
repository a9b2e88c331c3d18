//! Adapters to other services: the news sections and the readers' events over the bus, readers' tastes over gRPC.

mod desks;
mod past;
mod readings;
mod retry;
mod tastes;
mod wire;

pub use desks::BusDesks;
pub use readings::BusReadings;
pub use retry::RetryRule;
pub use tastes::GrpcTastes;
