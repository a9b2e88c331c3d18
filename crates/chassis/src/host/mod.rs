//! A process: its configuration is read, its services are built and served, and it ends in order.

mod health;
mod main;
mod run;
mod service;
mod signals;

pub use main::{failed, main, prepare};
pub use run::{Host, Internal};
pub use service::Service;
pub use signals::stop_signal;
