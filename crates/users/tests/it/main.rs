//! The users service as a whole: its router called in process, embedded adapters, workers driven by hand. No sleeps, and
//! sockets only where the network or a server is what is asked about.

mod accounts;
mod consent;
mod crashes;
mod defects;
mod doubt;
mod fuzz;
mod grpc;
mod input;
mod keys;
mod living;
mod log;
mod logins;
mod matrix;
mod passwords;
mod people;
mod races;
mod registration;
mod rehashing;
mod retries;
mod roles;
mod secrets;
mod servers;
mod sessions;
mod stories;
mod throttle;
mod tokens;
