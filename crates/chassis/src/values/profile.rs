use serde::{Deserialize, Serialize};

/// The purpose of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A laptop, a demo, a test, or a small site in one process. Everything that works is allowed.
    Development,
    /// A fleet. Well-known passwords, debug switches, and the addresses `local:` and `inproc:` of a single
    /// process are refused at the start.
    Production,
}
