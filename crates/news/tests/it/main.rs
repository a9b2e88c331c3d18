//! A section as the others see it: calls over the bus, embedded stores in temporary files, no sockets;
//! and, where servers for tests are given, the same with the stores of the fleet.

mod calls;
mod crash;
mod defects;
mod desk;
#[path = "../../src/store/contract/engines.rs"]
mod engines;
mod erasure;
mod export;
mod fuzz;
mod golden;
mod history;
mod idempotency;
mod lists;
mod model;
mod newsroom;
mod people;
mod proof;
mod replay;
mod world;
