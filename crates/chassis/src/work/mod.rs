//! Work besides answering requests: tasks, workers that are stepped, consumers that run, and dependencies
//! that are probed.

mod cleanup;
mod dependency;
mod task;
mod worker;

pub use cleanup::Cleanup;
pub use dependency::{CachedProbe, Closer, Dependency, ProbeFuture};
pub use task::{back_off, pause, spawn};
pub use worker::{POLL, Runnable, Step, Worker, drive};
