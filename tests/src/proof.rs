//! The script of `docs/proof`, with which readers verify the history of an article.

use std::process::Command;

use serde_json::Value;
use testkit::Folder;

use crate::repository;

/// Gives the pages of a proof to the script, in their order. Returns what it says, or why it refuses them.
///
/// # Panics
/// If Python 3 is missing.
pub fn verify_proof(pages: &[Value]) -> Result<String, String> {
    let folder = Folder::new();
    let mut script = Command::new("python3");
    script.arg("-I").arg(repository("docs/proof/verify.py"));
    for (number, page) in pages.iter().enumerate() {
        let path = folder.join(&format!("page-{number}.json"));
        std::fs::write(&path, page.to_string()).expect("the page is written");
        script.arg(path);
    }
    let output = script.output().unwrap_or_else(|error| {
        panic!("`python3` is needed to run docs/proof/verify.py; install it (package `python3`): {error}")
    });
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}
