//! Work besides answering requests: tasks, workers that are stepped, consumers that run, and dependencies
//! that are probed.

mod cleanup;
mod dependency;
mod task;
mod worker;

pub use cleanup::Forgetting;
pub use dependency::{Closer, Dependency, Kept, ProbeFuture};
pub use task::{back_off, pause, spawn};
pub use worker::{POLL, Runnable, Step, Worker, drive};
