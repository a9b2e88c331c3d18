use kernel::{MAX_PAGE_TEXT, Version};

use super::{ChainLink, VisibleVersions};

/// A link of an article's chain, as far as a caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofLink {
    /// The version.
    pub version: Version,
    /// The hash of its record and of everything before it; `None` if it could confirm a guess of a hidden
    /// text (`is_guessable`).
    pub hash: Option<String>,
    /// The hash of the version before it, as its record was chained to it; `None` for the same reason.
    pub previous: Option<String>,
    /// The exact text that was hashed, if it was requested and the caller may see the version.
    pub record: Option<String>,
}

/// A page of the proof of an article's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// The oldest first.
    pub links: Vec<ProofLink>,
    /// The last version of the page, if there are later ones.
    pub next: Option<Version>,
}

/// The page that a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofPart {
    /// Only versions after this one; `None` begins with the first.
    pub after: Option<Version>,
    /// The most links.
    pub limit: u32,
    /// True if the records of the versions that the caller may see are included. Then the page ends at
    /// [`MAX_PAGE_TEXT`] of them, with one record at least.
    pub records: bool,
}

/// Builds a page of a proof from links that come one by one, the oldest first.
///
/// A hash that could confirm a guess of a hidden text is not shown ([`is_guessable`]).
#[derive(Debug)]
pub struct ProofBuilder {
    past: VisibleVersions,
    part: ProofPart,
    // True if the hash of the link before is guessable.
    is_guessable: bool,
    bytes: u64,
    is_complete: bool,
    page: Proof,
}

/// Returns whether the hash of a link could confirm a guess of a text that readers of `past` may not see;
/// `None` if the same is true of it as of the link before.
///
/// A reader who knows the text before and after a hidden version, and tries short notes and all milliseconds
/// of a day, would find the note of an editor by its hash. A nonce prevents that, which records of older
/// programs do not have. The reader knows the record of a visible version, so its hash confirms what the hash
/// before it confirms. The nonce of a hidden record protects the records before it too.
pub fn is_guessable(past: VisibleVersions, link: &ChainLink) -> Option<bool> {
    if shows(past, link) { None } else { Some(!link.head.is_some_and(|head| head.has_nonce)) }
}

/// True if the caller may see the record of a link.
fn shows(past: VisibleVersions, link: &ChainLink) -> bool {
    past == VisibleVersions::All || link.head.is_some_and(|head| past.shows(head.state))
}

impl ProofBuilder {
    /// Creates a builder of the page `part` for a caller who may see the versions of `past`. `is_guessable`
    /// says it of the link before the page. Every chain begins with the same well-known hash, which is not.
    pub fn new(past: VisibleVersions, part: ProofPart, is_guessable: bool) -> Self {
        Self { past, part, is_guessable, bytes: 0, is_complete: false, page: Proof::default() }
    }

    /// Adds the next link of the page.
    pub fn add(&mut self, link: ChainLink) {
        let has_record = self.part.records && shows(self.past, &link);
        if self.is_complete || self.is_full(if has_record { link.record.len() as u64 } else { 0 }) {
            self.is_complete = true;
            self.page.next = self.page.links.last().map(|last| last.version);
            return;
        }
        let was_guessable = self.is_guessable;
        self.is_guessable = is_guessable(self.past, &link).unwrap_or(was_guessable);
        self.page.links.push(ProofLink {
            version: link.version,
            hash: Some(link.hash).filter(|_| !self.is_guessable),
            previous: Some(link.prev_hash).filter(|_| !was_guessable),
            record: Some(link.record).filter(|_| has_record),
        });
    }

    /// True if there is no room for one more link with so many bytes. Otherwise they are counted.
    fn is_full(&mut self, bytes: u64) -> bool {
        let is_too_long = self.bytes > 0 && self.bytes + bytes > MAX_PAGE_TEXT;
        self.bytes += bytes;
        self.page.links.len() >= self.part.limit as usize || is_too_long
    }

    /// True if no later link is needed.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the page.
    pub fn build(self) -> Proof {
        self.page
    }
}

#[cfg(test)]
mod tests {
    use kernel::ArticleId;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{GENESIS, RecordHead, State, chain_hash};

    /// Returns the chain of an article with these states, and whether each record has a nonce.
    fn chain(versions: &[(State, bool)]) -> Vec<ChainLink> {
        let mut before = GENESIS.to_owned();
        let mut links = Vec::new();
        for (number, (state, has_nonce)) in (1..).zip(versions) {
            let version = Version::new(number);
            let record = format!("the record of version {number}");
            let hash = chain_hash(&before, &record);
            let id = ArticleId::new(Uuid::from_u128(7));
            let head = Some(RecordHead { id, version, state: *state, has_nonce: *has_nonce });
            links.push(ChainLink { version, record, prev_hash: before, hash: hash.clone(), head });
            before = hash;
        }
        links
    }

    fn part(after: Option<u32>, limit: u32, records: bool) -> ProofPart {
        ProofPart { after: after.map(Version::new), limit, records }
    }

    fn proof(links: &[ChainLink], past: VisibleVersions, part: ProofPart) -> Proof {
        let (before, page): (Vec<_>, Vec<_>) =
            links.iter().partition(|link| part.after.is_some_and(|after| link.version <= after));
        let is_guessable = before.into_iter().rev().find_map(|link| is_guessable(past, link));
        let mut builder = ProofBuilder::new(past, part, is_guessable.unwrap_or_default());
        for link in page {
            builder.add(link.clone());
        }
        builder.build()
    }

    /// Returns the versions whose hash, previous hash and record are shown.
    fn shown(proof: &Proof) -> [Vec<u32>; 3] {
        let versions = |is_shown: &dyn Fn(&ProofLink) -> bool| {
            proof.links.iter().filter(|link| is_shown(link)).map(|link| link.version.number()).collect()
        };
        [
            versions(&|link| link.hash.is_some()),
            versions(&|link| link.previous.is_some()),
            versions(&|link| link.record.is_some()),
        ]
    }

    #[test]
    fn readers_get_every_hash_with_a_nonce_and_the_records_of_public_versions() {
        use State::{Draft, InReview, Published};
        let links = chain(&[(Draft, true), (InReview, true), (Published, true), (Published, true)]);
        let found = proof(&links, VisibleVersions::Public, part(None, 10, true));
        assert_eq!(shown(&found), [vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![3, 4]]);
        for (link, stored) in found.links.iter().zip(&links) {
            assert_eq!(link.previous.as_ref(), Some(&stored.prev_hash));
            assert_eq!(link.hash.as_ref(), Some(&stored.hash));
        }
        let found = proof(&links, VisibleVersions::Public, part(None, 10, false));
        assert_eq!(shown(&found)[2], [0; 0], "records only on request");
    }

    #[test]
    fn a_hash_that_could_confirm_a_guess_is_not_shown_until_a_hidden_nonce_comes() {
        use State::{Draft, Published};
        let links = chain(&[
            (Draft, false),
            (Published, false),
            // Its nonce is public with its record, so it protects nothing.
            (Published, true),
            (Draft, true),
            (Published, true),
        ]);
        let found = proof(&links, VisibleVersions::Public, part(None, 10, true));
        assert_eq!(shown(&found), [vec![4, 5], vec![1, 5], vec![2, 3, 5]]);
        // The same if the page begins later.
        for after in 1..=4 {
            let rest = proof(&links, VisibleVersions::Public, part(Some(after), 10, true));
            assert_eq!(rest.links, found.links[after as usize..], "after {after}");
        }
        let all = proof(&links, VisibleVersions::All, part(None, 10, true));
        let every = vec![1, 2, 3, 4, 5];
        assert_eq!(shown(&all), [every.clone(), every.clone(), every]);
        // Versions that were never hidden can be verified without a nonce.
        let public = chain(&[(Published, false), (Published, false)]);
        let found = proof(&public, VisibleVersions::Public, part(None, 10, true));
        assert_eq!(shown(&found), [[1, 2], [1, 2], [1, 2]]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_hidden_from_readers() {
        let mut links = chain(&[(State::Published, true), (State::Published, true)]);
        links[0].head = None;
        let found = proof(&links, VisibleVersions::Public, part(None, 10, true));
        assert_eq!(shown(&found), [vec![], vec![1], vec![2]]);
        assert_eq!(shown(&proof(&links, VisibleVersions::All, part(None, 10, true)))[2], [1, 2]);
    }

    #[test]
    fn pages_join_without_a_gap_and_the_last_one_says_so() {
        let links = chain(&[(State::Published, true); 7]);
        let whole = proof(&links, VisibleVersions::Public, part(None, 100, true));
        assert_eq!((whole.links.len(), whole.next), (7, None));
        for limit in 1..=8 {
            let (mut joined, mut after) = (Vec::new(), None);
            loop {
                let page = proof(&links, VisibleVersions::Public, part(after, limit, true));
                assert!(page.links.len() <= limit as usize);
                joined.extend(page.links);
                let Some(next) = page.next else { break };
                after = Some(next.number());
            }
            assert_eq!(joined, whole.links, "pages of {limit}");
        }
        assert_eq!(proof(&links, VisibleVersions::Public, part(Some(7), 5, true)), Proof::default());
    }

    #[test]
    fn a_page_ends_at_its_bytes_but_has_one_record_at_least() {
        let mut links = chain(&[(State::Published, true); 3]);
        for link in &mut links {
            link.record = "x".repeat(MAX_PAGE_TEXT as usize / 2 + 1);
        }
        let page = proof(&links, VisibleVersions::Public, part(None, 10, true));
        assert_eq!((page.links.len(), page.next), (1, Some(Version::FIRST)));
        links[1].record = "x".repeat(MAX_PAGE_TEXT as usize + 1);
        let page = proof(&links, VisibleVersions::Public, part(Some(1), 10, true));
        assert_eq!((page.links.len(), page.next), (1, Some(Version::new(2))));
        // Without records the length of the texts does not matter.
        assert_eq!(proof(&links, VisibleVersions::Public, part(None, 10, false)).links.len(), 3);
    }
}
