//! The golden file of the wire: every message, field and method, a line each.
//!
//! A line that is gone or changed breaks those who still speak the old way; a line that is new belongs into
//! the golden file. The test only compares; where it fails it says where the text is that would pass, to be
//! looked at and copied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire.txt")
}

fn lines() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR).expect("the descriptor is one");
    let mut lines = BTreeSet::new();
    for file in set.file {
        let package = file.package().to_owned();
        for message in &file.message_type {
            describe(&package, message, &mut lines);
        }
        for each in &file.enum_type {
            for value in &each.value {
                lines.insert(format!("{package}.{} {} = {}", each.name(), value.name(), value.number()));
            }
        }
        for service in &file.service {
            for method in &service.method {
                let (from, to) = (method.input_type(), method.output_type());
                lines.insert(format!("{package}.{}/{} {from} -> {to}", service.name(), method.name()));
            }
        }
    }
    lines
}

fn describe(parent: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{parent}.{}", message.name());
    lines.insert(format!("{name} (message)"));
    for field in &message.field {
        lines.insert(format!("{name}.{} = {} {}", field.name(), field.number(), shape(field)));
    }
    for range in &message.reserved_range {
        lines.insert(format!("{name} (reserved {}..{})", range.start(), range.end()));
    }
    for inner in &message.nested_type {
        describe(&name, inner, lines);
    }
}

fn shape(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let of = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
    };
    format!("{label}{of}")
}

#[test]
fn the_wire_is_as_the_golden_file_says() {
    let text = std::fs::read_to_string(golden()).unwrap_or_default();
    let golden: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let now = lines();
    let beside = concat!(env!("CARGO_TARGET_TMPDIR"), "/wire.txt");
    std::fs::write(beside, now.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("writes");
    let gone: Vec<_> = golden.difference(&now).collect();
    let new: Vec<_> = now.difference(&golden).collect();
    assert!(gone.is_empty(), "this breaks older releases: {gone:#?}");
    assert!(new.is_empty(), "this is new, and belongs into the golden file (as in {beside}): {new:#?}");
    assert!(now.len() > 50, "the descriptor was hardly read");
}
