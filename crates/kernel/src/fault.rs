use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::clip;

/// What sort of failure it is. One table (in `chassis` and `bus`) gives each its HTTP status, gRPC code and fate on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request can't be read at all.
    Malformed,
    /// The request was read and breaks a rule.
    Invalid,
    /// Nobody is logged in, or not any more.
    Unauthenticated,
    /// Somebody is, and may not.
    Forbidden,
    /// It is not there, or the caller must not know that it is.
    NotFound,
    /// It was there once.
    Gone,
    /// It clashes with what is there.
    Conflict,
    /// The caller has not seen the newest version.
    Stale,
    /// Too many requests, or too much at once.
    TooMany,
    /// The time was over before the work was done.
    Timeout,
    /// Something that is needed is away for now.
    Unavailable,
    /// A defect.
    Internal,
}

impl Kind {
    /// Every kind, for tables and their tests.
    pub const ALL: [Kind; 12] = [
        Kind::Malformed,
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::Gone,
        Kind::Conflict,
        Kind::Stale,
        Kind::TooMany,
        Kind::Timeout,
        Kind::Unavailable,
        Kind::Internal,
    ];

    /// True where the same request may succeed later, unchanged.
    pub const fn is_transient(self) -> bool {
        matches!(self, Kind::TooMany | Kind::Timeout | Kind::Unavailable)
    }

    /// True where the cause lies in a driver or a defect: then the caller is told nothing of it.
    pub const fn is_ours(self) -> bool {
        matches!(self, Kind::Timeout | Kind::Unavailable | Kind::Internal)
    }

    /// A sentence for the caller where nothing better may be said.
    pub const fn sentence(self) -> &'static str {
        match self {
            Kind::Malformed => "The request could not be read.",
            Kind::Invalid => "The request breaks a rule.",
            Kind::Unauthenticated => "Log in first.",
            Kind::Forbidden => "This account may not do that.",
            Kind::NotFound => "There is nothing here.",
            Kind::Gone => "It is not here any more.",
            Kind::Conflict => "It clashes with what is there.",
            Kind::Stale => "It has changed since it was read.",
            Kind::TooMany => "Too many requests.",
            Kind::Timeout => "The answer took too long.",
            Kind::Unavailable => "Something that is needed here is away for the moment.",
            Kind::Internal => "Something went wrong here.",
        }
    }
}

/// A stable, documented name of a failure, in snake case. Clients match on it, never on text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// A code that this program knows.
    pub const fn new(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// A code that came over the wire.
    pub fn received(code: String) -> Self {
        Self(Cow::Owned(code))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::new(code)
    }
}

impl PartialEq<str> for Code {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

/// The most faults that one refusal names.
pub const MAX_FAULTS: usize = 64;
/// The most characters of a pointer, and of a value that a refusal repeats.
pub const MAX_ECHO: usize = 200;
/// The most characters of the sentence to the caller.
const MAX_DETAIL: usize = 500;
/// The most bytes of all faults of a refusal as JSON, and of its further members.
const MAX_BYTES: usize = 24 * 1024;
/// The most elements of a list among the further members.
const MAX_ELEMENTS: usize = 64;

/// One field of a request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// Where it is: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong, as a stable name.
    pub code: Code,
    /// What is wrong, as a sentence.
    pub detail: String,
}

impl FieldFault {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, code: impl Into<Code>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// What every error enum of a port and of `app` says about itself, so that one table can answer for all.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// What sort of failure it is.
    fn kind(&self) -> Kind;
    /// Its stable name.
    fn code(&self) -> Code;
    /// The fields that break a rule.
    fn fields(&self) -> Vec<FieldFault> {
        Vec::new()
    }
    /// Further members of the answer, such as `current_version`.
    fn extra(&self) -> Map<String, Value> {
        Map::new()
    }
    /// When to try again, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// What the caller is told. The error's own text, unless its cause lies with us: then not a word of it.
    fn refusal(&self) -> Refusal {
        let kind = self.kind();
        let detail = if kind.is_ours() { kind.sentence().to_owned() } else { self.to_string() };
        Refusal {
            kind,
            code: self.code(),
            detail,
            fields: self.fields(),
            extra: self.extra(),
            retry_after: self.retry_after(),
        }
    }
}

/// A failure as it crosses a wire: what a client matches or passes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// What sort of failure it is.
    pub kind: Kind,
    /// Its stable name.
    pub code: Code,
    /// What the caller may read.
    pub detail: String,
    /// The fields that break a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFault>,
    /// Further members of the answer.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// When to try again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal of this kind and name, with a sentence for the caller.
    pub fn new(kind: Kind, code: impl Into<Code>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            detail: detail.into(),
            fields: Vec::new(),
            extra: Map::new(),
            retry_after: None,
        }
    }

    /// The same with fields that break a rule.
    pub fn with_fields(mut self, fields: Vec<FieldFault>) -> Self {
        self.fields = fields;
        self
    }

    /// The same refusal cut to a size that does not depend on the request: at most [`MAX_FAULTS`] faults, pointers of at most
    /// [`MAX_ECHO`] characters, and 24 KiB each for all faults and all further members. Everything that sends a refusal over a wire
    /// calls it.
    pub fn bounded(self) -> Self {
        self.bounded_to(MAX_BYTES)
    }

    /// The same with at most `bytes` for all faults, and as much for all further members, both as JSON.
    pub fn bounded_to(mut self, bytes: usize) -> Self {
        clip(&mut self.detail, MAX_DETAIL);
        self.fields.truncate(MAX_FAULTS);
        let mut left = bytes;
        self.fields.retain_mut(|fault| {
            clip(&mut fault.pointer, MAX_ECHO);
            clip(&mut fault.detail, MAX_ECHO);
            fits(fault, &mut left)
        });
        let mut left = bytes;
        self.extra.retain(|_, value| {
            shorten(value);
            fits(value, &mut left)
        });
        self
    }

    /// The same with one more member of the answer.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

/// Takes the size of `value` as JSON from the bytes that are left; false if there are too few.
fn fits(value: &impl Serialize, left: &mut usize) -> bool {
    let size = serde_json::to_vec(value).map_or(0, |json| json.len());
    let fits = size <= *left;
    *left = if fits { *left - size } else { 0 };
    fits
}

/// Cuts every text in `value` at [`MAX_ECHO`] characters, and every list at [`MAX_ELEMENTS`] elements.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => clip(text, MAX_ECHO),
        Value::Array(elements) => {
            elements.truncate(MAX_ELEMENTS);
            elements.iter_mut().for_each(shorten);
        }
        Value::Object(members) => members.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Fault for Refusal {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn code(&self) -> Code {
        self.code.clone()
    }

    fn fields(&self) -> Vec<FieldFault> {
        self.fields.clone()
    }

    fn extra(&self) -> Map<String, Value> {
        self.extra.clone()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn refusal(&self) -> Refusal {
        self.clone()
    }
}

/// A failure of any kind on its way to the boundary that logs it. `?` turns every [`Fault`] into one.
impl<F: Fault> From<F> for Box<dyn Fault> {
    fn from(fault: F) -> Self {
        Box::new(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("disk I/O error: /var/lib/secret.db")]
    struct Driver;

    impl Fault for Driver {
        fn kind(&self) -> Kind {
            Kind::Internal
        }

        fn code(&self) -> Code {
            Code::new("internal")
        }
    }

    #[test]
    fn what_a_driver_said_never_leaves_the_process() {
        assert_eq!(Driver.refusal().detail, Kind::Internal.sentence());
    }

    #[test]
    fn no_refusal_grows_with_what_it_repeats() {
        let fault =
            |n: usize| FieldFault::new(format!("/{n}{}", "\u{1}".repeat(10_000)), "odd", "ä".repeat(9_999));
        let large = Refusal::new(Kind::Invalid, "invalid", "é".repeat(100_000))
            .with_fields((0..1_000).map(fault).collect())
            .with("missing", vec!["x".repeat(1_000); 1_000]);
        let bounded = large.bounded();
        assert!(serde_json::to_vec(&bounded).expect("JSON").len() < 60_000);
        assert!(!bounded.fields.is_empty() && bounded.fields.len() <= MAX_FAULTS);
        for fault in &bounded.fields {
            assert_eq!((fault.pointer.chars().count(), fault.detail.chars().count()), (MAX_ECHO, MAX_ECHO));
            assert!(fault.pointer.ends_with('…'));
        }
        let small = Refusal::new(Kind::Stale, "stale_version", "It has changed.").with("current_version", 8);
        assert_eq!(small.clone().bounded(), small);
        let many = vec![FieldFault::new("/a", "unknown_field", "there is no such field"); 200];
        let many = Refusal::new(Kind::Invalid, "invalid", "See errors.").with_fields(many).bounded();
        assert_eq!(many.fields.len(), MAX_FAULTS);
    }

    #[test]
    fn a_refusal_is_the_same_after_the_wire() {
        let sent = Refusal::new(Kind::Stale, "stale_version", "It has changed.")
            .with("current_version", 8)
            .with_fields(vec![FieldFault::new("/version", "stale", "is old")]);
        let wire = serde_json::to_vec(&sent).expect("a refusal is JSON");
        assert_eq!(serde_json::from_slice::<Refusal>(&wire).expect("and read back"), sent);
    }
}
