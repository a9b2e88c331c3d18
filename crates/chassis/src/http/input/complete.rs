//! The conversion of named values to a struct, with a report of all faults.

use kernel::FieldFault;
use serde::de::{self, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::node::{Members, Node, ReadError};

/// Converts named values to a `T`, or returns all of their faults. Every field is checked: a placeholder
/// replaces a refused value while the other fields are read.
pub(super) fn complete<'a, T: de::DeserializeOwned>(
    mut members: Vec<(&'static str, Node<'a>)>,
    mut faults: Vec<FieldFault>,
) -> Result<T, Vec<FieldFault>> {
    let mut refused: Vec<String> = Vec::new();
    loop {
        let error = match T::deserialize(Whole(&members)) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => return Err(faults),
            Err(error) => error,
        };
        let field = error.0.first().map(|fault| first_segment(&fault.pointer)).unwrap_or_default();
        let index = members.iter().position(|(name, _)| *name == field);
        match index {
            // The placeholder was refused too.
            Some(index) if refused.contains(&field) => drop(members.remove(index)),
            Some(index) => {
                members[index].1 = Node::Placeholder;
                refused.push(field);
                faults.extend(error.0);
            }
            // The field is missing, or was reported already and removed.
            None => {
                let known = fields_of::<T>().unwrap_or_default().iter().find(|name| **name == field);
                let is_reported = refused.contains(&field);
                if !is_reported {
                    refused.push(field);
                    faults.extend(error.0);
                }
                match known {
                    Some(name) if !is_reported => members.push((name, Node::Placeholder)),
                    _ => return Err(faults),
                }
            }
        }
    }
}

fn first_segment(pointer: &str) -> String {
    let segment = pointer.split('/').nth(1).unwrap_or_default();
    segment.replace("~1", "/").replace("~0", "~")
}

/// A deserializer of named values.
struct Whole<'n, 'a>(&'n [(&'static str, Node<'a>)]);

impl<'de> Deserializer<'de> for Whole<'de, '_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let members = self.0.iter().map(|(name, node)| (*name, node));
        visitor.visit_map(Members { left: members, value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Returns the names of the fields of `T`, if it is a struct with named fields.
pub(super) fn fields_of<T: de::DeserializeOwned>() -> Option<&'static [&'static str]> {
    struct FieldNames<'f>(&'f mut Option<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for FieldNames<'_> {
        type Error = ReadError;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
            Err(de::Error::custom("only the names of the fields are read"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, ReadError> {
            *self.0 = Some(fields);
            self.deserialize_any(visitor)
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut fields = None;
    let _ = T::deserialize(FieldNames(&mut fields));
    fields
}
