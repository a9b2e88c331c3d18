//! The messages of `proto/` with what their comments say.

use anyhow::Context;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value, json};

/// The places of things in a descriptor (`descriptor.proto`): the n-th message of a file, the m-th field of a
/// message, and so on.
const MESSAGES: i32 = 4;
const FIELDS: i32 = 2;
const ENUMS: i32 = 5;

/// A message of ours.
#[derive(Debug, Clone)]
pub struct Described {
    /// `portal.news.v1`.
    pub package: String,
    /// `ArticlePublished`.
    pub name: String,
    /// What stands above it in its file, as one text.
    pub comment: String,
    /// What it holds, as JSON Schema.
    pub schema: Value,
}

impl Described {
    /// The name by which an envelope calls it.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }

    /// The routing key that its comment names, with its parameters in braces: `news.{section}.published`.
    pub fn routing_key(&self) -> Option<String> {
        let (_, rest) = self.comment.split_once("Routing key")?;
        let key = rest.split('`').nth(1)?;
        Some(key.replace('<', "{").replace('>', "}"))
    }

    /// What it says beside its routing key.
    pub fn sentence(&self) -> String {
        let (before, rest) = self.comment.split_once("Routing key").unwrap_or((&self.comment, ""));
        let after =
            rest.split_once('`').and_then(|(_, rest)| rest.split_once('`')).map_or("", |(_, after)| after);
        let after = after.trim_start_matches(['.', ';', ' ']);
        let mut all = before.trim().to_owned();
        if let Some(first) = after.chars().next() {
            all.push(' ');
            all.extend(first.to_uppercase());
            all.push_str(&after[first.len_utf8()..]);
        }
        all
    }
}

/// Every message of `proto/` and every list of values, each under its full name.
///
/// # Errors
/// Where the descriptor is none.
pub fn all() -> anyhow::Result<Vec<Described>> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR).context("the descriptor of proto/ is none")?;
    let ours = set.file.iter().filter(|file| file.package().starts_with("portal."));
    Ok(ours.flat_map(of_file).collect())
}

fn of_file(file: &FileDescriptorProto) -> Vec<Described> {
    let places = file.source_code_info.as_ref().map(|info| info.location.as_slice()).unwrap_or_default();
    let one = |name: &str, path: &[i32], schema| Described {
        package: file.package().to_owned(),
        name: name.to_owned(),
        comment: comment(places, path),
        schema,
    };
    let messages = file
        .message_type
        .iter()
        .zip(0..)
        .map(|(message, index)| one(message.name(), &[MESSAGES, index], schema(message, places, index)));
    let enums = file.enum_type.iter().zip(0..).map(|(each, index)| {
        let values: Vec<&str> = each.value.iter().map(|value| value.name()).collect();
        one(each.name(), &[ENUMS, index], json!({"type": "string", "enum": values}))
    });
    messages.chain(enums).collect()
}

/// What stands above a thing, as one text.
fn comment(places: &[Location], path: &[i32]) -> String {
    let place = places.iter().find(|place| place.path == path);
    let text = place.map(|place| place.leading_comments()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A message as JSON Schema, after protobuf's own mapping to JSON but with the field's names as they stand in
/// the file.
fn schema(message: &DescriptorProto, places: &[Location], index: i32) -> Value {
    let mut properties = Map::new();
    for (field, number) in message.field.iter().zip(0..) {
        let mut described = of_field(field);
        let said = comment(places, &[MESSAGES, index, FIELDS, number]);
        if let Some(object) = described.as_object_mut() {
            object.insert("description".to_owned(), said.into());
            object.insert("x-protobuf-number".to_owned(), field.number().into());
            if field.proto3_optional() {
                object.insert("x-protobuf-optional".to_owned(), true.into());
            }
        }
        properties.insert(field.name().to_owned(), described);
    }
    json!({"type": "object", "properties": properties})
}

fn of_field(field: &FieldDescriptorProto) -> Value {
    let one = match field.r#type() {
        Type::Message | Type::Enum => {
            json!({"$ref": format!("#/components/schemas/{}", field.type_name().trim_start_matches('.'))})
        }
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Double | Type::Float => json!({"type": "number"}),
        // JSON's numbers do not hold all of 64 bits, so protobuf writes them as text.
        Type::Int64 | Type::Uint64 | Type::Sint64 | Type::Fixed64 | Type::Sfixed64 => {
            json!({"type": "string", "format": "int64"})
        }
        _ => json!({"type": "integer"}),
    };
    match (field.label(), one.get("$ref")) {
        (Label::Repeated, _) => json!({"type": "array", "items": one}),
        // Beside a reference nothing else counts.
        (_, Some(_)) => json!({"allOf": [one]}),
        _ => one,
    }
}
