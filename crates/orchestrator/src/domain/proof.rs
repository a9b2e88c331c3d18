use kernel::Version;

/// A link of the hash chain of an article, as far as the caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofLink {
    /// The version.
    pub version: Version,
    /// The hash of its record and of everything before it; `None` if the section keeps it to itself.
    pub hash: Option<String>,
    /// The hash of the version before; `None` if the section keeps it to itself.
    pub previous: Option<String>,
    /// The exact text that was hashed, if it was requested and the caller may see the version.
    pub record: Option<String>,
}

/// A page of the proof of an article's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The links in the order of their versions.
    pub links: Vec<ProofLink>,
    /// The version after which later links are found; `None` if there are none.
    pub next: Option<Version>,
}

/// The page of a proof that a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofSlice {
    /// Only versions after this one; `None` begins with the first.
    pub after: Option<Version>,
    /// The most links.
    pub limit: u32,
    /// True if the records of the versions that the caller may see are included.
    pub records: bool,
}
