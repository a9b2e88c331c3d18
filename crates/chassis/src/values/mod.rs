//! Values of a configuration, which every room may use: addresses, secrets, the profile, and the filter of
//! the log.

mod address;
mod causes;
mod environment;
mod log;
mod profile;
mod secret;
mod traces;
mod url;

pub use address::{Address, Form, Place, path_fault};
pub(crate) use address::{grpc_servers, sqlite_path};
pub use causes::causes;
pub use environment::variables;
pub use log::LogFormat;
pub(crate) use log::log_filter;
pub use profile::Profile;
pub use secret::Secret;
pub(crate) use traces::{TraceExport, trace_export};
pub use url::{Url, UrlParts};
