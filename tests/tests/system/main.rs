//! The scenarios: a real portal, over TCP, as its users meet it.

mod crash;
mod front_page;
mod history;
mod input;
mod limits;
mod logs;
mod matrix;
mod races;
mod scenario;
mod world;
