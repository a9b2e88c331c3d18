//! Adapters to other services: the news sections and the readings over the bus, readers' labels over gRPC.

mod codec;
mod past;
mod readings;
mod retry;
mod sections;
mod tastes;

pub use readings::BusReadings;
pub use sections::BusSections;
pub use tastes::GrpcTastes;
