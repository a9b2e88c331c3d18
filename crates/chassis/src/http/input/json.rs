//! A body as JSON. Its text is read once, from its beginning to its end: what is unknown, given twice or nested too deep is seen on
//! the way and never kept, and only the fields that a handler asks for become values.

use std::borrow::Cow;
use std::fmt;

use kernel::{FieldFault, Kind, MAX_FAULTS, Refusal};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::malformed;
use super::node::{Node, ReadError, complete, fields_of, twice, unknown};
use crate::http::problem::Problem;

/// How deep JSON may be nested.
const MAX_DEPTH: usize = 32;
/// The most values within one field: more than any rule of a field allows, and few enough to be kept.
const MAX_VALUES: usize = 10_000;

/// Reads a body, and names everything that is wrong with it at once.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| malformed("malformed_json", "The body is not UTF-8."))?;
    // A byte order mark has no meaning in UTF-8; editors of some systems write one (RFC 8259 §8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let fields = fields_of::<T>().unwrap_or_default();
    let mut seen = Seen { fields, members: Vec::new(), faults: Vec::new(), too_deep: false };
    let mut json = serde_json::Deserializer::from_str(text);
    match Body(&mut seen).deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => {}
        Err(_) if seen.too_deep => {
            let detail = format!("JSON must be nested at most {MAX_DEPTH} deep");
            return Err(invalid(vec![FieldFault::new("", "too_deep", detail)]));
        }
        Err(error) => {
            return Err(malformed("malformed_json", format!("The body is not valid JSON: {error}.")));
        }
    }
    // Nothing can be said of the fields of what has none.
    if seen.faults.iter().any(|fault| fault.pointer.is_empty()) {
        return Err(invalid(seen.faults));
    }
    complete(seen.members, seen.faults).map_err(invalid)
}

pub(super) fn invalid(mut faults: Vec<FieldFault>) -> Problem {
    faults.truncate(MAX_FAULTS);
    Refusal::new(Kind::Invalid, "invalid", "The body breaks a rule; see errors.").with_fields(faults).into()
}

/// What was seen of a body so far.
struct Seen<'a> {
    fields: &'static [&'static str],
    members: Vec<(&'static str, Node<'a>)>,
    faults: Vec<FieldFault>,
    too_deep: bool,
}

impl<'a> Seen<'a> {
    fn refuse(&mut self, error: impl FnOnce() -> ReadError) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.extend(error().0);
        }
    }

    fn member<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let Some(field) = self.fields.iter().find(|field| **field == key) else {
            self.refuse(|| unknown(key));
            return map.next_value_seed(Skip { depth: 1, too_deep: &mut self.too_deep });
        };
        if self.members.iter().any(|(other, _)| other == field) {
            self.refuse(|| twice(key));
            return map.next_value_seed(Skip { depth: 1, too_deep: &mut self.too_deep });
        }
        let mut left = MAX_VALUES;
        let keep = Keep { depth: 1, left: &mut left, too_deep: &mut self.too_deep };
        let mut node = map.next_value_seed(keep)?;
        if left == 0 {
            let detail = format!("must have at most {MAX_VALUES} values");
            self.faults.push(FieldFault::new(super::node::pointer(field, ""), "too_many", detail));
            node = Node::StandIn;
        }
        self.members.push((field, node));
        Ok(())
    }
}

/// The whole body, which must be an object.
struct Body<'s, 'a>(&'s mut Seen<'a>);

impl<'a> DeserializeSeed<'a> for Body<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// What a value that is not an object says to [`Body`]: that it is none, and not which one it is.
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

/// The name of a member: where it has no escapes, it stays in the text that it was read from.
struct Key<'a>(Cow<'a, str>);

impl<'de> de::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Name;

        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }

        json.deserialize_str(Name)
    }
}

/// One level deeper, if that is allowed.
fn deeper<E: de::Error>(depth: usize, too_deep: &mut bool) -> Result<usize, E> {
    *too_deep |= depth >= MAX_DEPTH;
    if *too_deep { Err(E::custom("nested too deep")) } else { Ok(depth + 1) }
}

/// Reads a value and keeps nothing of it.
struct Skip<'s> {
    depth: usize,
    too_deep: &'s mut bool,
}

impl<'a> DeserializeSeed<'a> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

macro_rules! skip {
    ($($method:ident($type:ty)),*) => {$(
        fn $method<E: de::Error>(self, _: $type) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'a> Visitor<'a> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    skip!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = deeper(self.depth, self.too_deep)?;
        while seq.next_element_seed(Skip { depth, too_deep: self.too_deep })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = deeper(self.depth, self.too_deep)?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Skip { depth, too_deep: self.too_deep })?;
        }
        Ok(())
    }
}

/// Reads a value and keeps it, as long as there are not too many.
struct Keep<'s> {
    depth: usize,
    /// How many more values may be kept; at 0 the rest is skipped.
    left: &'s mut usize,
    too_deep: &'s mut bool,
}

impl<'a> DeserializeSeed<'a> for Keep<'_> {
    type Value = Node<'a>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Node<'a>, D::Error> {
        *self.left = self.left.saturating_sub(1);
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Keep<'_> {
    type Value = Node<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node<'a>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node<'a>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node<'a>, E> {
        Ok(Node::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node<'a>, E> {
        Ok(Node::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node<'a>, E> {
        Ok(Node::Float(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Node<'a>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node<'a>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Node<'a>, A::Error> {
        let depth = deeper(self.depth, self.too_deep)?;
        let mut nodes = Vec::new();
        while *self.left > 0 {
            let keep = Keep { depth, left: self.left, too_deep: self.too_deep };
            let Some(node) = seq.next_element_seed(keep)? else { return Ok(Node::List(nodes)) };
            nodes.push(node);
        }
        while seq.next_element_seed(Skip { depth, too_deep: self.too_deep })?.is_some() {}
        Ok(Node::List(Vec::new()))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Node<'a>, A::Error> {
        let depth = deeper(self.depth, self.too_deep)?;
        let mut members = Vec::new();
        while *self.left > 0 {
            let Some(Key(name)) = map.next_key()? else { return Ok(Node::Object(members)) };
            let keep = Keep { depth, left: self.left, too_deep: self.too_deep };
            members.push((name, map.next_value_seed(keep)?));
        }
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Skip { depth, too_deep: self.too_deep })?;
        }
        Ok(Node::Object(Vec::new()))
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
