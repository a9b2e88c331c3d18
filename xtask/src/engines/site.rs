//! The site of the engines: their folder, ports, passwords and processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::place::Place;
use super::process::Runner;
use super::state::State;

/// The longest time that an engine may take to start on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A data folder with everything that runs on it.
#[derive(Debug)]
pub struct Site {
    /// Its folder.
    pub place: Place,
    /// The runner that starts and stops programs there.
    pub runner: Runner,
    /// Its ports and passwords.
    pub state: State,
}

impl Site {
    /// Returns the site of an earlier `up`, or `None` before the first one.
    pub fn existing() -> Result<Option<Self>> {
        let place = Place::find()?;
        let runner = place.runner()?;
        let state = State::load(&place.join("state.json"))?;
        Ok(state.map(|state| Self { place, runner, state }))
    }

    /// Returns the site with all ports and passwords chosen. If its state file is missing, the data can't be
    /// opened, so it is deleted too.
    pub fn complete(place: Place) -> Result<Self> {
        let runner = place.runner()?;
        let path = place.join("state.json");
        let mut state = match State::load(&path)? {
            Some(state) => state,
            None => {
                super::stop_all(&runner, &[]);
                wipe(&place)?;
                State::default()
            }
        };
        let owner = |port: &str| super::ENGINES.iter().find(|engine| engine.ports.contains(&port));
        state.complete(|name, port| {
            owner(name).is_some_and(|engine| runner.running(engine.name).is_some())
                || super::state::is_free(port)
        })?;
        state.save(&path)?;
        Ok(Self { place, runner, state })
    }
}

/// Removes the data of the engines, but no built programs.
pub fn wipe(place: &Place) -> Result<()> {
    for engine in &super::ENGINES {
        let data = place.join(engine.name);
        if data.exists() {
            std::fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
        }
    }
    let state = place.join("state.json");
    if state.exists() {
        std::fs::remove_file(&state).with_context(|| format!("removing {}", state.display()))?;
    }
    Ok(())
}

/// Returns the path of a file in the repository that an engine is set up from.
pub fn shared(path: &str) -> PathBuf {
    crate::cargo::root().join(path)
}

/// Returns the text of such a file.
pub fn shared_text(path: &str) -> Result<String> {
    read(&shared(path))
}

/// Returns the text of a file. The error names the file.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("the file {}", path.display()))
}
