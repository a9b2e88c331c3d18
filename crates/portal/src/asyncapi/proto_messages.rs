//! The messages of `proto/`, with their comments.

use anyhow::Context;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value, json};

// The numbers of these lists in a descriptor (`descriptor.proto`). A path to an element alternates them with
// indexes.
const MESSAGES: i32 = 4;
const FIELDS: i32 = 2;
const ENUMS: i32 = 5;

/// A message or an enum of `proto/`.
#[derive(Debug, Clone)]
pub struct ProtoMessage {
    /// Its package, such as `portal.news.v1`.
    pub package: String,
    /// Its name in the package, such as `ArticlePublished`.
    pub name: String,
    /// The comment above it, in one line.
    pub comment: String,
    /// Its fields, as JSON Schema.
    pub schema: Value,
}

impl ProtoMessage {
    /// Returns its name in an envelope.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.package, self.name)
    }

    /// Returns the routing key that its comment names, with parameters in braces: `news.{section}.published`.
    pub fn routing_key(&self) -> Option<String> {
        let (_, rest) = self.comment.split_once("Routing key")?;
        let key = rest.split('`').nth(1)?;
        Some(key.replace('<', "{").replace('>', "}"))
    }

    /// Returns its comment without the routing key.
    pub fn description(&self) -> String {
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

/// Reads all messages and enums of `proto/`.
///
/// # Errors
/// If the descriptor is not valid.
pub fn read_all() -> anyhow::Result<Vec<ProtoMessage>> {
    let set =
        FileDescriptorSet::decode(proto::DESCRIPTOR).context("the descriptor of proto/ is not valid")?;
    let ours = set.file.iter().filter(|file| file.package().starts_with("portal."));
    Ok(ours.flat_map(read_file).collect())
}

fn read_file(file: &FileDescriptorProto) -> Vec<ProtoMessage> {
    let places = file.source_code_info.as_ref().map(|info| info.location.as_slice()).unwrap_or_default();
    let one = |name: &str, path: &[i32], schema| ProtoMessage {
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

/// Returns the comment above an element, in one line.
fn comment(places: &[Location], path: &[i32]) -> String {
    let place = places.iter().find(|place| place.path == path);
    let text = place.map(|place| place.leading_comments()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the JSON Schema of a message. It follows the JSON mapping of protobuf, but fields keep their
/// names.
fn schema(message: &DescriptorProto, places: &[Location], index: i32) -> Value {
    let mut properties = Map::new();
    for (field, number) in message.field.iter().zip(0..) {
        let mut schema = field_schema(field);
        let description = comment(places, &[MESSAGES, index, FIELDS, number]);
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), description.into());
            object.insert("x-protobuf-number".to_owned(), field.number().into());
            if field.proto3_optional() {
                object.insert("x-protobuf-optional".to_owned(), true.into());
            }
        }
        properties.insert(field.name().to_owned(), schema);
    }
    json!({"type": "object", "properties": properties})
}

fn field_schema(field: &FieldDescriptorProto) -> Value {
    let one = match field.r#type() {
        Type::Message | Type::Enum => {
            json!({"$ref": format!("#/components/schemas/{}", field.type_name().trim_start_matches('.'))})
        }
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Double | Type::Float => json!({"type": "number"}),
        // Not every 64-bit integer is exact as a JSON number, so protobuf writes them as text.
        Type::Int64 | Type::Uint64 | Type::Sint64 | Type::Fixed64 | Type::Sfixed64 => {
            json!({"type": "string", "format": "int64"})
        }
        _ => json!({"type": "integer"}),
    };
    match (field.label(), one.get("$ref")) {
        (Label::Repeated, _) => json!({"type": "array", "items": one}),
        // Other keywords beside a `$ref` have no effect.
        (_, Some(_)) => json!({"allOf": [one]}),
        _ => one,
    }
}
