//! Clients of other services.

mod users;

pub use users::GrpcUserDirectory;
