//! Observation of a process: context, log, spans, metrics, and output to a terminal.

mod context;
mod log_failure;
mod log_limit;
pub mod metrics;
mod output;
mod slow_statements;
pub mod spans;
pub mod telemetry;

pub use context::{Context, Counting, Upstream};
pub use log_failure::log_failure;
pub(crate) use log_limit::{LogLimit, millis, uptime};
pub(crate) use output::print_error;
pub use output::{finish_output, print, print_in_background, say};
pub(crate) use slow_statements::slow_ones_only;
