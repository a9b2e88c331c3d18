//! The contract suites of the ports. Each law in a port's documentation is a case with the same name, and
//! runs on every adapter.

mod answers;
pub(super) mod engines;
mod events;
mod lists;
mod newsroom;
mod past;
pub(super) mod sample;
mod view;
pub(super) mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bus::Outbox;
use kernel::{ArticleId, Version};
use testkit::Folder;

use self::sample::with_message;
use crate::domain::{ChainLink, Change};
use crate::ports::{CommandKey, EventStore};

/// A connection that changes stored records without the store.
#[async_trait]
pub(super) trait Tamperer: Send + Sync {
    async fn rewrite(&self, article: ArticleId, version: Version, record: &str);

    /// Keeps a refusal as older releases did.
    async fn keep_refusal(&self, once: &CommandKey, refusal: &str);
}

pub(super) struct Fixture {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) tamperer: Arc<dyn Tamperer>,
    // Present if the store is a file.
    _folder: Option<Folder>,
}

impl Fixture {
    pub(super) async fn append(&self, change: &Change) {
        self.store.append(&[with_message(change.clone())], None).await.expect("it is appended");
    }

    pub(super) async fn waiting(&self) -> Vec<String> {
        let unsent = self.outbox.unsent(1_000).await.expect("the outbox answers");
        unsent.into_iter().map(|(_, message)| format!("{} v{}", message.key, message.version)).collect()
    }

    pub(super) async fn links(&self, id: ArticleId) -> Vec<ChainLink> {
        self.store.links(id, None, 1_000).await.expect("the links are read")
    }
}

/// Returns the names in a source text that are in lines of this form.
fn names<'a>(text: &'a str, start: &str, end: &str) -> BTreeSet<&'a str> {
    let name = |line: &'a str| line.trim().strip_prefix(start)?.split_once(end).map(|(name, _)| name);
    text.lines().filter_map(name).collect()
}

#[test]
fn every_law_of_the_ports_has_a_case_and_every_case_a_law() {
    let laws = names(include_str!("../../ports.rs"), "/// * `", "`");
    let mut cases = names(include_str!("events.rs"), "async fn ", "(given: Fixture)");
    for file in [include_str!("answers.rs"), include_str!("newsroom.rs"), include_str!("past.rs")] {
        cases.extend(names(file, "pub(super) async fn ", "(given: Fixture)"));
    }
    cases.extend(names(include_str!("view.rs"), "async fn ", "(given: Fixture)"));
    cases.extend(names(include_str!("lists.rs"), "async fn ", "(given: Fixture)"));
    assert_eq!(laws, cases);
}
