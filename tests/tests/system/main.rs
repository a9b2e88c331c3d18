//! The scenarios: a real portal, over TCP, as its users meet it. Each is written once and run on both shapes.

mod caches;
mod counts;
mod crash;
mod degraded;
mod documents;
mod front_page;
mod history;
mod input;
mod limits;
mod logs;
mod matrix;
mod methods;
mod operators;
mod origins;
mod outputs;
mod pace;
mod races;
mod replicas;
mod restarts;
mod retries_of_users;
mod scenario;
mod sections;
mod sessions;
mod telemetry;
mod walks;
