use kernel::{ArticleId, Version};
use sha2::{Digest, Sha256};

/// What the first event of an article links to.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of a record and of everything before it: SHA-256 over the hash before it and the record's exact bytes, as
/// 64 hexadecimal digits.
pub fn link(before: &str, record: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(b"\n");
    hash.update(record.as_bytes());
    hex::encode(hash.finalize())
}

/// One link of an article's chain, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The version that the event made.
    pub version: Version,
    /// The event, as the exact text that was stored.
    pub record: String,
    /// The hash of the event before it.
    pub prev_hash: String,
    /// The hash of this one.
    pub hash: String,
    /// The article and the version that the record says it is of; `None` where it can't be read.
    pub of: Option<(ArticleId, Version)>,
}

/// The history is not the one that was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A version is missing or stands twice.
    #[error("version {expected} is missing from the history")]
    Gap {
        /// The version that should stand there.
        expected: Version,
    },
    /// A record was changed, or the records around it were.
    #[error("version {version} is not what was written")]
    Tampered {
        /// The first version that does not fit.
        version: Version,
    },
}

/// Follows a chain from its first event to its last. An event that was changed, removed from the middle, added or
/// moved is found. A removed end is not: nothing in the chain says how long it was.
pub fn follow(chain: &[Link]) -> Result<(), Broken> {
    let mut follower = Follower::default();
    chain.iter().try_for_each(|each| follower.next(each))
}

/// Somebody who follows a chain of any length link by link, as [`follow`] does.
#[derive(Debug, Clone)]
pub struct Follower {
    before: String,
    expected: Version,
}

impl Default for Follower {
    /// At the beginning.
    fn default() -> Self {
        Self { before: GENESIS.to_owned(), expected: Version::FIRST }
    }
}

impl Follower {
    /// Takes one step.
    pub fn next(&mut self, each: &Link) -> Result<(), Broken> {
        if each.version != self.expected {
            return Err(Broken::Gap { expected: self.expected });
        }
        if each.prev_hash != self.before || each.hash != link(&self.before, &each.record) {
            return Err(Broken::Tampered { version: each.version });
        }
        self.before.clone_from(&each.hash);
        self.expected = self.expected.next();
        Ok(())
    }

    /// How many links were followed.
    pub fn followed(&self) -> u32 {
        self.expected.number() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(records: &[&str]) -> Vec<Link> {
        let mut before = GENESIS.to_owned();
        let mut links = Vec::new();
        for (number, record) in (1..).zip(records) {
            let hash = link(&before, record);
            let version = Version::new(number);
            let record = (*record).to_owned();
            links.push(Link { version, record, prev_hash: before, hash: hash.clone(), of: None });
            before = hash;
        }
        links
    }

    #[test]
    fn a_history_as_it_was_written_is_whole() {
        assert_eq!(follow(&chain(&["a", "b", "c"])), Ok(()));
        assert_eq!(follow(&[]), Ok(()));
    }

    #[test]
    fn a_changed_record_is_found() {
        let mut links = chain(&["a", "b", "c"]);
        links[1].record = "B".to_owned();
        assert_eq!(follow(&links), Err(Broken::Tampered { version: Version::new(2) }));
    }

    #[test]
    fn a_changed_record_with_a_new_hash_is_found_at_the_next_one() {
        let mut links = chain(&["a", "b", "c"]);
        links[1].record = "B".to_owned();
        links[1].hash = link(&links[0].hash, "B");
        assert_eq!(follow(&links), Err(Broken::Tampered { version: Version::new(3) }));
    }

    #[test]
    fn a_removed_record_is_found() {
        let mut links = chain(&["a", "b", "c"]);
        links.remove(1);
        assert_eq!(follow(&links), Err(Broken::Gap { expected: Version::new(2) }));
    }

    #[test]
    fn the_hash_of_a_record_never_changes_between_releases() {
        assert_eq!(link(GENESIS, "{}"), "5649d09ed68c17156095d175eef152856c5b1a81c117c409c1e00f096aa6838e");
    }
}
