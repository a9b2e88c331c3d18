//! The users service as a whole: its router called in process, embedded adapters, workers driven by hand. No sockets, no sleeps.

mod accounts;
mod consent;
mod crashes;
mod defects;
mod grpc;
mod log;
mod matrix;
mod people;
mod races;
mod registration;
mod roles;
mod secrets;
mod sessions;
mod stories;
