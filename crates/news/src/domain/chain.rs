use kernel::{ArticleId, Version};
use sha2::{Digest, Sha256};

use super::State;

/// The hash that the first event of an article links to.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Returns the hash of a record and of everything before it: SHA-256 over the previous hash and the record's
/// exact bytes, as 64 hexadecimal digits.
pub fn chain_hash(before: &str, record: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(b"\n");
    hash.update(record.as_bytes());
    hex::encode(hash.finalize())
}

/// A link of an article's chain, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainLink {
    /// The version that the event made.
    pub version: Version,
    /// The exact text of the event that was stored.
    pub record: String,
    /// The hash of the event before it.
    pub prev_hash: String,
    /// The hash of this event.
    pub hash: String,
    /// The parts of the record that say what it is; `None` if the record can't be read.
    pub head: Option<RecordHead>,
}

/// The parts of a record that say what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// The article that the record names.
    pub id: ArticleId,
    /// The version that the record names.
    pub version: Version,
    /// The state of the article at this version.
    pub state: State,
    /// True if the record has a nonce, so that its hash confirms no guess of its text.
    pub has_nonce: bool,
}

/// The reason why a history is not the one that was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// A version is missing or occurs twice.
    #[error("version {expected} is missing from the history")]
    Gap {
        /// The version that should follow.
        expected: Version,
    },
    /// A record was changed, or the records around it were.
    #[error("version {version} is not what was written")]
    Tampered {
        /// The first version that does not fit.
        version: Version,
    },
}

/// Verifies a whole chain.
///
/// # Errors
/// [`BrokenChain`] at the first event that does not fit.
#[cfg(test)]
pub fn verify_chain(chain: &[ChainLink]) -> Result<(), BrokenChain> {
    let mut verifier = ChainVerifier::default();
    chain.iter().try_for_each(|link| verifier.next(link))
}

/// Verifies a chain of any length link by link, from its first event on. It finds an event that was changed,
/// removed from the middle, added or moved. It does not find a removed end: nothing in the chain says how
/// long it was.
#[derive(Debug, Clone)]
pub struct ChainVerifier {
    before: String,
    expected: Version,
}

impl Default for ChainVerifier {
    /// Returns a verifier at the beginning of a chain.
    fn default() -> Self {
        Self { before: GENESIS.to_owned(), expected: Version::FIRST }
    }
}

impl ChainVerifier {
    /// Verifies the next link.
    ///
    /// # Errors
    /// [`BrokenChain`], if it does not fit.
    pub fn next(&mut self, link: &ChainLink) -> Result<(), BrokenChain> {
        if link.version != self.expected {
            return Err(BrokenChain::Gap { expected: self.expected });
        }
        if link.prev_hash != self.before || link.hash != chain_hash(&self.before, &link.record) {
            return Err(BrokenChain::Tampered { version: link.version });
        }
        self.before.clone_from(&link.hash);
        self.expected = self.expected.next();
        Ok(())
    }

    /// Returns the number of links that were verified.
    pub fn count(&self) -> u32 {
        self.expected.number() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(records: &[&str]) -> Vec<ChainLink> {
        let mut before = GENESIS.to_owned();
        let mut links = Vec::new();
        for (number, record) in (1..).zip(records) {
            let hash = chain_hash(&before, record);
            let version = Version::new(number);
            let record = (*record).to_owned();
            links.push(ChainLink { version, record, prev_hash: before, hash: hash.clone(), head: None });
            before = hash;
        }
        links
    }

    #[test]
    fn an_unchanged_chain_is_whole() {
        assert_eq!(verify_chain(&chain(&["a", "b", "c"])), Ok(()));
        assert_eq!(verify_chain(&[]), Ok(()));
    }

    #[test]
    fn a_changed_record_is_found() {
        let mut links = chain(&["a", "b", "c"]);
        links[1].record = "B".to_owned();
        assert_eq!(verify_chain(&links), Err(BrokenChain::Tampered { version: Version::new(2) }));
    }

    #[test]
    fn a_changed_record_with_a_new_hash_is_found_at_the_next_one() {
        let mut links = chain(&["a", "b", "c"]);
        links[1].record = "B".to_owned();
        links[1].hash = chain_hash(&links[0].hash, "B");
        assert_eq!(verify_chain(&links), Err(BrokenChain::Tampered { version: Version::new(3) }));
    }

    #[test]
    fn a_removed_record_is_found() {
        let mut links = chain(&["a", "b", "c"]);
        links.remove(1);
        assert_eq!(verify_chain(&links), Err(BrokenChain::Gap { expected: Version::new(2) }));
    }

    #[test]
    fn the_hash_of_a_record_never_changes_between_releases() {
        assert_eq!(
            chain_hash(GENESIS, "{}"),
            "5649d09ed68c17156095d175eef152856c5b1a81c117c409c1e00f096aa6838e"
        );
    }
}
