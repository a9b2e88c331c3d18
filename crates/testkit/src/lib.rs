#![doc = include_str!("../README.md")]

mod amqp;
mod binary;
mod cases;
mod client;
mod engine;
mod events;
mod folder;
mod fuzz;
mod portal;
mod process;
mod proxy;
mod race;
mod response;
mod wait;

pub use amqp::Vhost;
pub use binary::{binary, portal_binary};
pub use client::{Client, Request};
pub use engine::{engine, engine_with, program};
pub use events::{Events, ServerEvent};
pub use folder::Folder;
pub use fuzz::{Corpus, fuzz};
pub use portal::{Portal, free_address};
pub use process::{Process, Program};
pub use proxy::Proxy;
pub use race::{at_once, random};
pub use response::{NoResponse, Response};
pub use wait::{PATIENCE, wait_until};
