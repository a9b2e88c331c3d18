//! The values of a JSON body, stored or skipped, with bounds on their depth and number.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::Node;

/// The maximum nesting depth of JSON.
pub(super) const MAX_DEPTH: usize = 32;

/// The name of a member. A name without escapes is borrowed from the text.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

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

/// Returns the next nesting depth, or an error if it exceeds the maximum.
fn deeper<E: de::Error>(depth: usize, too_deep: &mut bool) -> Result<usize, E> {
    *too_deep |= depth >= MAX_DEPTH;
    if *too_deep { Err(E::custom("nested too deep")) } else { Ok(depth + 1) }
}

/// Parses a value and discards it.
pub(super) struct Skip<'s> {
    pub(super) depth: usize,
    pub(super) too_deep: &'s mut bool,
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

/// Parses a value and stores it, unless there are too many.
pub(super) struct Keep<'s> {
    pub(super) depth: usize,
    /// The number of values that may still be stored. At 0 the rest is skipped.
    pub(super) left: &'s mut usize,
    pub(super) too_deep: &'s mut bool,
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
