//! The way to other services.

mod users;

pub use users::GrpcUserDirectory;
