//! The clients of other services.

mod exports;

pub use exports::BusExportSources;
