//! The preparations of the commands that work on the events of a portal while it does not run.

use std::fs::File;
use std::path::PathBuf;

use anyhow::ensure;
use kernel::Section;

use crate::config::Config;
use crate::data_folder;

/// Returns the sections that a command works on: the named one, or all of them.
pub(crate) fn sections(named: Option<Section>) -> Vec<Section> {
    Section::ALL.into_iter().filter(|section| named.is_none_or(|named| named == *section)).collect()
}

/// Returns the configuration of a section.
pub(crate) fn config_of(config: &Config, section: Section) -> &news::Config {
    match section {
        Section::Famous => &config.famous_news,
        Section::Politics => &config.politics_news,
        Section::Sports => &config.sports_news,
    }
}

/// Locks the data folder if the events of any of these sections are in a file. Servers need no lock.
///
/// # Errors
/// Fails if such a file does not exist, because opening it would create an empty one, and if a portal runs on
/// the folder.
pub(crate) fn hold(config: &Config, sections: &[Section]) -> anyhow::Result<Option<File>> {
    let files: Vec<PathBuf> = sections.iter().filter_map(|section| events_file(config, *section)).collect();
    for file in &files {
        ensure!(
            file.is_file(),
            "{} does not exist; set --data-dir to the data folder of a portal",
            file.display()
        );
    }
    // No portal runs on a folder that does not exist.
    let needs_lock = !files.is_empty() && config.data_dir.is_dir();
    if needs_lock { data_folder::hold(&config.data_dir).map(Some) } else { Ok(None) }
}

/// Returns the file of a section's events, if they are in a file.
fn events_file(config: &Config, section: Section) -> Option<PathBuf> {
    let url = config_of(config, section).events.of(section.service());
    url.expose().strip_prefix("sqlite:").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;
    use crate::config::{self, Flags};

    fn config(data: PathBuf) -> Config {
        config::load_without_environment(&Flags { data_dir: Some(data), ..Flags::default() })
            .expect("a configuration")
            .service
    }

    #[test]
    fn a_command_without_events_is_refused_and_creates_nothing() {
        let folder = Folder::new();
        let typo = folder.join("typo");
        let refused = hold(&config(typo.clone()), &Section::ALL).expect_err("nothing is there").to_string();
        assert!(refused.contains("famous-news.db") && refused.contains("--data-dir"), "{refused}");
        assert!(!typo.exists());
        std::fs::write(folder.join("sports-news.db"), "").expect("writes");
        let config = config(folder.path().to_owned());
        assert!(hold(&config, &Section::ALL).is_err(), "two of three are not there");
        assert!(!folder.join("portal.lock").exists());
        assert!(hold(&config, &[Section::Sports]).expect("it is there").is_some());
    }

    #[test]
    fn the_folder_of_a_running_portal_is_refused_and_servers_are_not() {
        let folder = Folder::new();
        std::fs::write(folder.join("sports-news.db"), "").expect("writes");
        let mut config = config(folder.path().to_owned());
        let _runs = data_folder::lock(folder.path()).expect("the lock");
        let refused = hold(&config, &[Section::Sports]).expect_err("a portal runs").to_string();
        assert!(refused.starts_with("a portal") && refused.ends_with("stop it first"), "{refused}");
        assert!(!refused.contains("would block"), "{refused}");
        config.sports_news.events.url = "postgres://u:p@db/sports".into();
        assert!(hold(&config, &[Section::Sports]).expect("at any time").is_none());
    }
}
