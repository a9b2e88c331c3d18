//! JSON bodies. The text is parsed once, from beginning to end. Unknown, repeated and too deeply nested
//! members are reported on the way and never stored. Only the fields that a handler declares become values.

use std::fmt;

use kernel::{FieldFault, Kind, MAX_FAULTS, Refusal};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::complete::{complete, fields_of};
use super::malformed;
use super::node::{Node, ReadError, duplicate, unknown};
use super::value::{Keep, Key, MAX_DEPTH, Skip};
use crate::http::problem::Problem;

/// The maximum number of values within one field: more than any rule of a field allows, and few enough to
/// store.
const MAX_VALUES: usize = 10_000;

/// Parses a body and reports all of its faults together.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| malformed("malformed_json", "The body is not valid UTF-8."))?;
    // A byte order mark has no meaning in UTF-8, but some editors write one (RFC 8259 §8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let fields = fields_of::<T>().unwrap_or_default();
    let mut parsed = ParsedBody { fields, members: Vec::new(), faults: Vec::new(), too_deep: false };
    let mut json = serde_json::Deserializer::from_str(text);
    match Body(&mut parsed).deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => {}
        Err(_) if parsed.too_deep => {
            let detail = format!("must be nested at most {MAX_DEPTH} levels deep");
            return Err(invalid(vec![FieldFault::new("", "too_deep", detail)]));
        }
        Err(error) => {
            return Err(malformed("malformed_json", format!("The body is not valid JSON: {error}.")));
        }
    }
    // A body that is not an object has no fields to report.
    if parsed.faults.iter().any(|fault| fault.pointer.is_empty()) {
        return Err(invalid(parsed.faults));
    }
    complete(parsed.members, parsed.faults).map_err(invalid)
}

pub(super) fn invalid(mut faults: Vec<FieldFault>) -> Problem {
    faults.truncate(MAX_FAULTS);
    Refusal::new(Kind::Invalid, "invalid", "The body breaks a rule; see `errors`.").with_fields(faults).into()
}

/// The part of a body that was parsed so far.
struct ParsedBody<'a> {
    fields: &'static [&'static str],
    members: Vec<(&'static str, Node<'a>)>,
    faults: Vec<FieldFault>,
    too_deep: bool,
}

impl<'a> ParsedBody<'a> {
    fn refuse(&mut self, error: impl FnOnce() -> ReadError) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.extend(error().0);
        }
    }

    /// Parses the value of the member `key`, or reports why it is not wanted.
    fn member<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let Some(field) = self.fields.iter().find(|field| **field == key) else {
            self.refuse(|| unknown(key));
            return map.next_value_seed(Skip { depth: 1, too_deep: &mut self.too_deep });
        };
        if self.members.iter().any(|(other, _)| other == field) {
            self.refuse(|| duplicate(key));
            return map.next_value_seed(Skip { depth: 1, too_deep: &mut self.too_deep });
        }
        let mut left = MAX_VALUES;
        let keep = Keep { depth: 1, left: &mut left, too_deep: &mut self.too_deep };
        let mut node = map.next_value_seed(keep)?;
        if left == 0 {
            let detail = format!("must have at most {MAX_VALUES} values");
            self.faults.push(FieldFault::new(super::node::pointer(field, ""), "too_many", detail));
            node = Node::Placeholder;
        }
        self.members.push((field, node));
        Ok(())
    }
}

/// The whole body, which must be an object.
struct Body<'s, 'a>(&'s mut ParsedBody<'a>);

impl<'a> DeserializeSeed<'a> for Body<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// Reports a body that is a value of another kind. The report does not contain the value.
macro_rules! not_an_object {
    ($($method:ident($type:ty) $node:expr),*) => {$(
        fn $method<E: de::Error>(self, _: $type) -> Result<(), E> {
            self.0.refuse(|| $node.is_not("an object"));
            Ok(())
        }
    )*};
}

impl<'a> Visitor<'a> for Body<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    not_an_object!(
        visit_bool(bool) Node::Bool(true),
        visit_u64(u64) Node::Unsigned(0),
        visit_i64(i64) Node::Signed(0),
        visit_f64(f64) Node::Float(0.0),
        visit_str(&str) Node::Text("".into())
    );

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.refuse(|| Node::Null.is_not("an object"));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        self.0.refuse(|| Node::List(Vec::new()).is_not("an object"));
        Skip { depth: 0, too_deep: &mut self.0.too_deep }.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.0.member(&key, &mut map)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
