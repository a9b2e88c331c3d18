//! Configuration: typed settings in layers (flags over environment over file over defaults). All faults are
//! reported together.

mod layers;
mod process;
mod settings;
mod toml_format;

pub use layers::{ConfigFaults, environment, layers, over};
pub use process::Process;
pub use settings::{Loaded, Settings, load, read, with_variables};

pub use crate::values::{Address, Form, LogFormat, Place, Profile, Secret, path_fault, variables};
