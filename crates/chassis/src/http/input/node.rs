//! Values of a request, and their conversion to the types of a handler. serde's own messages contain Rust
//! types and repeat values, and one of them may be a password. These messages contain only the expected and
//! the actual kind of value.

use std::borrow::Cow;
use std::fmt;

use kernel::{FieldFault, MAX_ECHO};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

/// A value of a body or of a query.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// The value of a query parameter: a text that may stand for a number.
    Parameter(Cow<'a, str>),
    /// A placeholder that suits every type. It replaces a refused value, so that the other fields can be
    /// checked.
    Placeholder,
}

impl Node<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Node::Null | Node::Placeholder => "null",
            Node::Bool(_) => "true or false",
            Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) => "a number",
            Node::Text(_) | Node::Parameter(_) => "a string",
            Node::List(_) => "a list",
            Node::Object(_) => "an object",
        }
    }

    /// Returns the refusal of a value of the wrong kind. It never repeats the value.
    pub(super) fn is_not(&self, expected: &str) -> ReadError {
        ReadError::new("invalid_value", format!("must be {expected}, got {}", self.kind()))
    }
}

/// The faults of a value. Their pointers begin at the value.
#[derive(Debug)]
pub(super) struct ReadError(pub(super) Vec<FieldFault>);

impl ReadError {
    pub(super) fn new(code: &'static str, mut detail: String) -> Self {
        kernel::clip(&mut detail, MAX_ECHO);
        Self(vec![FieldFault::new("", code, detail)])
    }

    /// Prefixes the pointers with `segment`, under which another value contains this one.
    fn below(mut self, segment: &str) -> Self {
        for fault in &mut self.0 {
            fault.pointer = pointer(segment, &fault.pointer);
        }
        self
    }
}

/// Returns the pointer (RFC 6901) of `rest` below a member, with a bounded length.
pub(super) fn pointer(segment: &str, rest: &str) -> String {
    let start: String = segment.chars().take(MAX_ECHO).collect();
    let mut pointer = format!("/{}{rest}", start.replace('~', "~0").replace('/', "~1"));
    kernel::clip(&mut pointer, MAX_ECHO);
    pointer
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not valid")
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    /// Creates the fault of a type of ours, such as "must be an id".
    fn custom<T: fmt::Display>(sentence: T) -> Self {
        Self::new("invalid_value", sentence.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::custom("has the wrong type")
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::custom("is not a valid value")
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self::custom("has the wrong number of elements")
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format!("must be one of {}", known.join(", ")))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        unknown(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("required", "is required".to_owned()).below(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        duplicate(field)
    }
}

pub(super) fn unknown(field: &str) -> ReadError {
    ReadError::new("unknown_field", "is not a field of this object".to_owned()).below(field)
}

pub(super) fn duplicate(field: &str) -> ReadError {
    ReadError::new("duplicate_field", "must not be repeated".to_owned()).below(field)
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let value: Option<$type> = match self {
                Node::Unsigned(number) => (*number).try_into().ok(),
                Node::Signed(number) => (*number).try_into().ok(),
                Node::Parameter(text) => number_in(text)?.parse().ok(),
                Node::Placeholder => Some(0),
                Node::Float(_) => return Err(ReadError::new("invalid_value", "must be a whole number".to_owned())),
                other => return Err(other.is_not("a whole number")),
            };
            let range = || format!("must be between {} and {}", <$type>::MIN, <$type>::MAX);
            visitor.$visit(value.ok_or_else(|| ReadError::new("out_of_range", range()))?)
        }
    )*};
}

/// Returns the text if it is a whole number, even one that no type can hold.
fn number_in(text: &str) -> Result<&str, ReadError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        Ok(text)
    } else {
        Err(ReadError::new("not_a_number", "must be a whole number".to_owned()))
    }
}

impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Null | Node::Placeholder => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Unsigned(number) => visitor.visit_u64(*number),
            Node::Signed(number) => visitor.visit_i64(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::Text(text) | Node::Parameter(text) => visitor.visit_borrowed_str(text),
            Node::List(nodes) => visitor.visit_seq(Elements { nodes, next: 0 }),
            Node::Object(members) => visitor.visit_map(Members::of(members)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Placeholder => visitor.visit_bool(false),
            Node::Parameter(text) if matches!(&**text, "true" | "false") => {
                visitor.visit_bool(text == "true")
            }
            Node::Parameter(_) => Err(ReadError::new("invalid_value", "must be true or false".to_owned())),
            other => Err(other.is_not("true or false")),
        }
    }

    numbers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Text(text) | Node::Parameter(text) => visitor.visit_borrowed_str(text),
            Node::Placeholder => visitor.visit_borrowed_str(""),
            other => Err(other.is_not("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Null | Node::Placeholder => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::List(nodes) => visitor.visit_seq(Elements { nodes, next: 0 }),
            Node::Placeholder => visitor.visit_seq(Elements { nodes: &[], next: 0 }),
            other => Err(other.is_not("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Object(members) => visitor.visit_map(Members::of(members)),
            Node::Placeholder => visitor.visit_map(Members::of(&[])),
            other => Err(other.is_not("an object")),
        }
    }

    /// Refuses a list, although serde would accept its elements as the fields in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let Node::Object(members) = self else { return self.deserialize_map(visitor) };
        let mut faults = Vec::new();
        let mut known: Vec<&(Cow<'_, str>, Node<'_>)> = Vec::new();
        for member in members {
            let name = &*member.0;
            if !fields.contains(&name) {
                faults.extend(unknown(name).0);
            } else if known.iter().any(|(other, _)| other == name) {
                faults.extend(duplicate(name).0);
            } else {
                known.push(member);
            }
        }
        let mut known = known.into_iter().map(|(name, node)| (&**name, node));
        match visitor.visit_map(Members { left: &mut known, value: None }) {
            Ok(value) if faults.is_empty() => Ok(value),
            Ok(_) => Err(ReadError(faults)),
            Err(error) => Err(ReadError(faults.into_iter().chain(error.0).collect())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self {
            Node::Text(text) | Node::Parameter(text) => {
                let name: StrDeserializer<'_, ReadError> = (&**text).into_deserializer();
                visitor.visit_enum(name)
            }
            other => Err(other.is_not("a string")),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The elements of a list.
struct Elements<'de, 'a> {
    nodes: &'de [Node<'a>],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de, '_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.nodes.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(node).map(Some).map_err(|error| error.below(&(self.next - 1).to_string()))
    }
}

/// The members of an object, which a struct reads one after the other.
pub(super) struct Members<'n, 'a, I> {
    pub(super) left: I,
    pub(super) value: Option<(&'n str, &'n Node<'a>)>,
}

impl<'n, 'a> Members<'n, 'a, std::vec::IntoIter<(&'n str, &'n Node<'a>)>> {
    fn of(members: &'n [(Cow<'a, str>, Node<'a>)]) -> Self {
        let left: Vec<_> = members.iter().map(|(name, node)| (&**name, node)).collect();
        Self { left: left.into_iter(), value: None }
    }
}

impl<'n, 'a, I: Iterator<Item = (&'n str, &'n Node<'a>)>> MapAccess<'n> for Members<'n, 'a, I> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.value = self.left.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        let name: StrDeserializer<'_, ReadError> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        let (name, node) = self.value.take().ok_or_else(|| de::Error::custom("has no value"))?;
        seed.deserialize(node).map_err(|error| error.below(name))
    }
}
