//! What every engine is given: its folder, its port, its passwords, its program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::place::Place;
use super::process::Runner;
use super::state::State;

/// How long any of the engines may take to start on a slow day.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One data folder with everything that runs on it.
#[derive(Debug)]
pub struct Site {
    /// Its folder.
    pub place: Place,
    /// What starts and stops programs there.
    pub runner: Runner,
    /// Its ports and passwords.
    pub state: State,
}

impl Site {
    /// The site as an earlier `up` left it; none before the first one.
    pub fn existing() -> Result<Option<Self>> {
        let place = Place::find()?;
        let runner = place.runner()?;
        let state = State::load(&place.join("state.json"))?;
        Ok(state.map(|state| Self { place, runner, state }))
    }

    /// The site, with ports and passwords settled. Without its state the data can't be opened any more, so it
    /// goes too.
    pub fn settled(place: Place) -> Result<Self> {
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

/// Removes what the engines keep, but nothing that was built.
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

/// A file of the repository that an engine is set up from.
pub fn shared(path: &str) -> PathBuf {
    crate::cargo::root().join(path)
}

/// The text of such a file.
pub fn shared_text(path: &str) -> Result<String> {
    read(&shared(path))
}

/// The text of a file, or an error that names it.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("the file {}", path.display()))
}
