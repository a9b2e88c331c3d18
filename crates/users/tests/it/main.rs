//! Tests of the whole users service: its router is called in process, with embedded adapters, and the tests
//! run the workers. They never sleep, and use sockets only if the network or a server is under test.

mod accounts;
mod audit;
mod consent;
mod crashes;
mod defects;
mod erasures;
mod exports;
mod fuzz;
mod grpc;
mod input;
mod irreversible;
mod keys;
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
mod unknown_outcomes;
