//! What a process says about itself: context, log, spans, metrics, and output to a terminal.

mod causes;
mod context;
mod log_limit;
pub mod metrics;
mod output;
mod slow_statements;
pub mod spans;
pub mod telemetry;

pub use causes::{causes, log_failure};
pub use context::{Context, Counting, Upstream};
pub(crate) use log_limit::{LogLimit, millis, uptime};
pub(crate) use output::complain;
pub use output::{mention, print, said, say};
pub(crate) use slow_statements::slow_ones_only;
