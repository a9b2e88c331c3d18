use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::clip;

/// The kind of a failure. One table each in `chassis` and `bus` maps it to an HTTP status, a gRPC code and
/// what a queue does with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request cannot be read at all.
    Malformed,
    /// The request can be read but breaks a rule.
    Invalid,
    /// The caller is not logged in, or no longer.
    Unauthenticated,
    /// The caller is logged in but not allowed to do this.
    Forbidden,
    /// The resource does not exist, or the caller must not know that it does.
    NotFound,
    /// The resource existed once.
    Gone,
    /// The request conflicts with the current state.
    Conflict,
    /// The caller has not seen the newest version of the resource.
    Stale,
    /// Too many requests, or too much work at the same time.
    TooMany,
    /// The deadline passed before the work was done.
    Timeout,
    /// A dependency is unavailable.
    Unavailable,
    /// A defect of the program.
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

    /// True if the same request may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Kind::TooMany | Kind::Timeout | Kind::Unavailable)
    }

    /// True if the failure is on the server's side: a dependency or a defect. The caller then gets no
    /// details.
    pub const fn is_server_error(self) -> bool {
        matches!(self, Kind::Timeout | Kind::Unavailable | Kind::Internal)
    }

    /// Returns a general sentence for the caller, for failures whose details must not be shown.
    pub const fn sentence(self) -> &'static str {
        match self {
            Kind::Malformed => "The request cannot be read.",
            Kind::Invalid => "The request breaks a rule.",
            Kind::Unauthenticated => "Log in first: this request needs a valid access token.",
            Kind::Forbidden => "This account is not allowed to do this.",
            Kind::NotFound => "The requested resource does not exist.",
            Kind::Gone => "The requested resource no longer exists.",
            Kind::Conflict => "The request conflicts with the current state of the resource.",
            Kind::Stale => "The resource has changed since it was read.",
            Kind::TooMany => "Too many requests; try again later.",
            Kind::Timeout => "The request was not answered in time; try again later.",
            Kind::Unavailable => "The service is temporarily unavailable; try again later.",
            Kind::Internal => "The server failed to process the request.",
        }
    }
}

/// A stable, documented name of a failure, in snake case. Clients match on it, never on text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

impl Code {
    /// Creates a code that this program defines.
    pub const fn new(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    /// Creates a code that another service sent.
    pub fn received(code: String) -> Self {
        Self(Cow::Owned(code))
    }

    /// Returns the code as text.
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

/// The maximum number of field faults in one refusal.
pub const MAX_FAULTS: usize = 64;
/// The maximum number of characters of a pointer, and of a value that a refusal repeats.
pub const MAX_ECHO: usize = 200;
/// The maximum number of characters of the sentence to the caller.
const MAX_DETAIL: usize = 500;
/// The maximum size of all field faults as JSON in bytes, and that of all further members.
const MAX_BYTES: usize = 24 * 1024;
/// The maximum number of elements of a list among the further members.
const MAX_ELEMENTS: usize = 64;

/// One field of a request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// The position of the field: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The stable name of the fault.
    pub code: Code,
    /// The explanation: a sentence that says what is wrong.
    pub detail: String,
}

impl FieldFault {
    /// Creates a fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, code: impl Into<Code>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// A fault's own kind and code, or the fault that it wraps.
pub enum Class<'a> {
    /// The kind and the code of a fault that wraps no other.
    Own(Kind, Code),
    /// The wrapped fault. The kind, the code and the whole refusal are those of this fault.
    Inner(&'a dyn Fault),
}

impl Class<'_> {
    /// Returns the class of a fault that wraps no other.
    pub const fn own(kind: Kind, code: &'static str) -> Self {
        Class::Own(kind, Code::new(code))
    }
}

/// An error that one table can turn into an answer over HTTP, gRPC and the bus. Every error enum of a port
/// and of `app` is one.
///
/// An implementation classifies its variants in one `match`. It overrides `fields`, `extra` or `retry_after`
/// only for variants of its own: what a wrapped fault says is passed on by the defaults.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// Returns the kind and the code, or the fault that this one wraps.
    fn classify(&self) -> Class<'_>;

    /// Returns the fields that break a rule.
    fn fields(&self) -> Vec<FieldFault> {
        self.inner().map(Fault::fields).unwrap_or_default()
    }

    /// Returns further members of the answer, such as `current_version`.
    fn extra(&self) -> Map<String, Value> {
        self.inner().map(Fault::extra).unwrap_or_default()
    }

    /// Returns the time after which the caller may try again, if it is known.
    fn retry_after(&self) -> Option<Duration> {
        self.inner().and_then(Fault::retry_after)
    }

    /// Returns the fault that this one wraps.
    fn inner(&self) -> Option<&dyn Fault> {
        match self.classify() {
            Class::Own(..) => None,
            Class::Inner(fault) => Some(fault),
        }
    }

    /// Returns the kind of failure.
    fn kind(&self) -> Kind {
        match self.classify() {
            Class::Own(kind, _) => kind,
            Class::Inner(fault) => fault.kind(),
        }
    }

    /// Returns the stable name of the failure.
    fn code(&self) -> Code {
        match self.classify() {
            Class::Own(_, code) => code,
            Class::Inner(fault) => fault.code(),
        }
    }

    /// Returns what the caller is allowed to know. The sentence is the error's own text, unless the cause is
    /// on our side: then it is the general sentence of its kind, because a driver's text may hold secrets.
    fn refusal(&self) -> Refusal {
        let (kind, code) = match self.classify() {
            Class::Own(kind, code) => (kind, code),
            Class::Inner(fault) => return fault.refusal(),
        };
        let detail = if kind.is_server_error() { kind.sentence().to_owned() } else { self.to_string() };
        let (fields, extra, retry_after) = (self.fields(), self.extra(), self.retry_after());
        Refusal { kind, code, detail, fields, extra, retry_after }
    }
}

/// A failure as it travels between services: the part that clients match on or pass on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The kind of failure.
    pub kind: Kind,
    /// The stable name.
    pub code: Code,
    /// The sentence for the caller.
    pub detail: String,
    /// The request's fields that break a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldFault>,
    /// Further members of the answer, such as `current_version`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// The time after which the caller may try again, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Creates a refusal without fields or further members.
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

    /// Replaces the fields that break a rule.
    pub fn with_fields(mut self, fields: Vec<FieldFault>) -> Self {
        self.fields = fields;
        self
    }

    /// Cuts the refusal to a size that does not depend on the request. It holds at most [`MAX_FAULTS`]
    /// faults, pointers of at most [`MAX_ECHO`] characters, and 24 KiB each for all faults and all further
    /// members. Every adapter that sends a refusal calls this first.
    pub fn bounded(self) -> Self {
        self.bounded_to(MAX_BYTES)
    }

    /// Cuts the refusal like [`Self::bounded`], to at most `bytes` of JSON for all faults and the same for
    /// all further members.
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

    /// Adds a further member of the answer.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

/// Subtracts the size of `value` as JSON from `left`. Returns false if `left` is too small.
fn fits(value: &impl Serialize, left: &mut usize) -> bool {
    let size = serde_json::to_vec(value).map_or(0, |json| json.len());
    let fits = size <= *left;
    *left = if fits { *left - size } else { 0 };
    fits
}

/// Cuts every string in `value` to [`MAX_ECHO`] characters, and every list to [`MAX_ELEMENTS`] elements.
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
    fn classify(&self) -> Class<'_> {
        Class::Own(self.kind, self.code.clone())
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

/// Lets `?` box every [`Fault`] for the boundary that logs it.
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
        fn classify(&self) -> Class<'_> {
            Class::own(Kind::Internal, "internal")
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the wrapper's own text")]
    struct Wrapper(#[source] Refusal);

    impl Fault for Wrapper {
        fn classify(&self) -> Class<'_> {
            Class::Inner(&self.0)
        }
    }

    #[test]
    fn a_wrapper_answers_with_everything_that_the_wrapped_fault_says() {
        let fields = vec![FieldFault::new("/title", "too_long", "The title is too long.")];
        let inner = Refusal {
            retry_after: Some(Duration::from_secs(7)),
            ..Refusal::new(Kind::Unavailable, "busy", "The section is busy.")
                .with("left", 3)
                .with_fields(fields)
        };
        let outer = Wrapper(inner.clone());
        assert_eq!(outer.refusal(), inner);
        assert_eq!((outer.kind(), outer.code()), (inner.kind, inner.code.clone()));
        assert_eq!((outer.fields(), outer.extra()), (inner.fields, inner.extra));
        assert_eq!(outer.retry_after(), inner.retry_after);
    }

    #[test]
    fn the_text_of_a_driver_never_leaves_the_process() {
        assert_eq!(Driver.refusal().detail, Kind::Internal.sentence());
    }

    #[test]
    fn the_size_of_a_refusal_does_not_depend_on_the_request() {
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
        let many = vec![FieldFault::new("/a", "unknown_field", "is not a field of this object"); 200];
        let many = Refusal::new(Kind::Invalid, "invalid", "See errors.").with_fields(many).bounded();
        assert_eq!(many.fields.len(), MAX_FAULTS);
    }

    #[test]
    fn a_refusal_survives_serialization_unchanged() {
        let sent = Refusal::new(Kind::Stale, "stale_version", "It has changed.")
            .with("current_version", 8)
            .with_fields(vec![FieldFault::new("/version", "stale", "is old")]);
        let wire = serde_json::to_vec(&sent).expect("a refusal is JSON");
        assert_eq!(serde_json::from_slice::<Refusal>(&wire).expect("and read back"), sent);
    }
}
