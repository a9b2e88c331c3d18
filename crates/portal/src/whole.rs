//! The check that no store of a data folder is missing, before anything is written to it.

use std::path::PathBuf;

use anyhow::Context;
use kernel::Section;

use crate::config::Config;
use crate::offline;

/// Refuses a folder in which a store is missing. Otherwise an empty store would replace it silently.
///
/// # Errors
/// If a store is missing. The error names it and says what to do.
pub(crate) fn ensure_complete(config: &Config) -> anyhow::Result<()> {
    chassis::sqlite::ensure_none_is_missing(&store_files(config)).context("data_dir")
}

/// Returns the embedded stores of each service, in the order in which they are opened.
fn store_files(config: &Config) -> Vec<Vec<PathBuf>> {
    let file = |url: &str| {
        let path = url.strip_prefix("sqlite:").or_else(|| url.strip_prefix("local:"));
        path.map(PathBuf::from)
    };
    let users = &config.users;
    let mut groups = vec![
        [users.bus.url.expose(), users.store.url.expose(), users.intake.url.expose()]
            .into_iter()
            .filter_map(file)
            .collect(),
    ];
    for section in Section::ALL {
        let (service, own) = (section.service(), offline::config_of(config, section));
        let (events, view) = (own.events.of(service), own.view.of(service));
        groups.push([events.expose(), view.expose()].into_iter().filter_map(file).collect());
    }
    groups.push(file(config.recommendations.store.url.expose()).into_iter().collect());
    groups
}

#[cfg(test)]
mod tests {
    use testkit::Folder;

    use super::*;
    use crate::config::{Flags, load_without_environment};

    #[test]
    fn every_store_of_the_one_process_is_checked() {
        let folder = Folder::new();
        let flags = Flags { data_dir: Some(folder.path().to_owned()), ..Flags::default() };
        let loaded = load_without_environment(&flags).expect("a configuration");
        let files: Vec<PathBuf> = store_files(&loaded.service).into_iter().flatten().collect();
        for file in &files {
            let shown = file.display().to_string();
            assert!(loaded.effective.contains(&shown), "{shown} is not configured");
        }
        // A new store must be checked too.
        let configured = loaded.effective.matches("sqlite:").count();
        assert_eq!(files.len(), configured + 1, "and the bus, which all services share");
    }
}
