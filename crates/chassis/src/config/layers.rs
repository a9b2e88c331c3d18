//! The layers of a configuration below the flags: defaults, a file, the environment.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use figment::Figment;
use figment::providers::{Format, Serialized};
use figment::value::{Dict, Value};

use super::process::Process;
use super::toml_format::Toml;
use crate::files::read_secret;

/// The faults of a configuration, each in a line.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} fault(s):\n{}", .0.len(), list(.0))]
pub struct ConfigFaults(pub Vec<String>);

fn list(faults: &[String]) -> String {
    faults.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n")
}

impl ConfigFaults {
    pub(super) fn one(fault: impl fmt::Display) -> Self {
        Self(vec![fault.to_string()])
    }
}

/// Returns the layers below the environment: the defaults in TOML, the first one lowest, and above them the
/// file.
///
/// # Errors
/// If a named file can't be read.
pub fn layers(defaults: &[&str], file: Option<&Path>) -> Result<Figment, ConfigFaults> {
    let base = Figment::from(Serialized::default("process", Process::default()));
    let mut figment = defaults.iter().fold(base, |figment, text| figment.merge(Toml::string(text)));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(ConfigFaults::one(format!("{} is not a file", path.display())));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    Ok(figment)
}

/// Returns the layer of the environment for keys that begin with `prefix`: with the prefix `USERS`,
/// `USERS__STORE__URL` is `store.url`.
///
/// A name that ends in `__FILE` names the file that holds the value, as containers get their secrets. The
/// file must be private.
///
/// # Errors
/// If such a file can't be read or is open to other users.
pub fn environment(prefix: &str, variables: &[(String, String)]) -> Result<Dict, ConfigFaults> {
    let start = format!("{prefix}__");
    let mut dict = Dict::new();
    let mut faults = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(&start) else { continue };
        let (key, value) = match rest.strip_suffix("__FILE") {
            Some(key) => match read_secret(Path::new(value)) {
                Ok(text) => (key, text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    faults.push(format!("{name}: {error}"));
                    continue;
                }
                Err(error) => {
                    faults.push(format!("{name}: {value} can't be read: {error}"));
                    continue;
                }
            },
            None => (rest, value.clone()),
        };
        let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
        insert(&mut dict, &path, value_of(&value));
    }
    if faults.is_empty() { Ok(dict) } else { Err(ConfigFaults(faults)) }
}

/// Reads numbers, truth values and lists. Everything else is text, even if it looks unusual.
fn value_of(text: &str) -> Value {
    match text.parse::<Value>() {
        // A number that would be printed differently is text: `007`, `1e3`, most passwords.
        Ok(Value::Num(..)) if text.parse::<i64>().map(|number| number.to_string()).as_deref() != Ok(text) => {
            Value::from(text)
        }
        Ok(value @ (Value::Num(..) | Value::Bool(..) | Value::Array(..))) => value,
        _ => Value::from(text),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            dict.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let mut inner = match dict.remove(first) {
                Some(Value::Dict(_, inner)) => inner,
                _ => Dict::new(),
            };
            insert(&mut inner, rest, value);
            dict.insert(first.clone(), inner.into());
        }
    }
}

/// Merges one more layer on top.
pub fn over(figment: Figment, dict: Dict) -> Figment {
    figment.merge(Serialized::defaults(dict))
}
