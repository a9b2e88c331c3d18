//! Adapters to other services: the news sections and the readers' events, both over the bus.

mod desks;
mod readings;
mod retry;
mod wire;

pub use desks::BusDesks;
pub use readings::BusReadings;
pub use retry::RetryRule;
