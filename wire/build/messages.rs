//! The module `messages`: what of it is taken from crate `kafka-protocol`, and code for what is not.

use crate::checker::first_flexible;
use crate::names::snake;
use crate::table::{Api, Field, Message, Versions};
use std::fmt::Write;

/// The keys that kafka-protocol 0.18 lacks or has in an older version, if only in one direction. The test against Kafka's own
/// bytes shows when one is missing here.
const OURS: [i16; 19] = [
    2, 8, 9, 18, 27, 28, 35, 42, 63, 78, 79, 80, 85, 87, 88, 89, 90, 93, 94,
];

pub fn generate(apis: &[Api]) -> String {
    let mut code = String::new();
    for api in apis {
        // An api without a version has no messages, in the crate neither; its checker never asks for structures.
        if api.stable == Versions::NONE {
            continue;
        }
        for message in [&api.request, &api.response] {
            let (module, name) = (snake(&message.name), &message.name);
            if OURS.contains(&api.key) {
                add!(code, "pub mod {module} {{");
                add!(code, "use crate::own::prelude::*;");
                message_code(&mut code, message);
                api_code(&mut code, api, message);
                add!(code, "}}");
                add!(code, "pub use {module}::{name};");
            } else {
                add!(
                    code,
                    "pub use kafka_protocol::messages::{{{module}, {name}}};"
                );
            }
        }
    }
    code
}

/// The structures of a message, and how its versions are written.
pub fn message_code(code: &mut String, message: &Message) {
    for structure in &message.structs {
        structure_code(code, message, &structure.name, &structure.fields);
        add!(code, "nullable_structure!({});", structure.name);
    }
    structure_code(code, message, &message.name, &message.fields);
    let flexible = first_flexible(message);
    add!(
        code,
        "fn form(version: i16) -> Form {{ Form {{ version, first_flexible: {flexible} }} }}"
    );
}

/// What a message is to its api.
fn api_code(code: &mut String, api: &Api, message: &Message) {
    let Message { name, .. } = message;
    let is_request = std::ptr::eq(message, &api.request);
    let (request, key) = (&api.request.name, api.key);
    let header = match (is_request, key) {
        (true, _) => "1 + i16::from(form(version).is_flexible())",
        // The answer to ApiVersions has header version 0 always.
        (false, 18) => "{ let _ = version; 0 }",
        (false, _) => "i16::from(form(version).is_flexible())",
    };
    add!(code, "impl HeaderVersion for {name} {{");
    add!(
        code,
        "fn header_version(version: i16) -> i16 {{ {header} }}"
    );
    add!(code, "}}");
    if is_request {
        let response = &api.response.name;
        add!(code, "impl Request for {request} {{");
        add!(code, "const KEY: i16 = {key};");
        add!(code, "type Response = super::{response};");
        add!(code, "}}");
    }
}

fn structure_code(code: &mut String, message: &Message, name: &str, fields: &[Field]) {
    let Versions { first, last } = message.versions();
    add!(code, "/// Of versions {first} to {last}.");
    add!(code, "#[non_exhaustive]");
    add!(code, "#[derive(Clone, Debug, PartialEq)]");
    add!(code, "pub struct {name} {{");
    for field in fields {
        add!(code, "/// {}", in_words(field, message));
        add!(code, "pub {}: {},", snake(&field.name), rust_type(field));
    }
    add!(code, "/// Tagged fields that Kafka 4.4 does not know.");
    add!(code, "pub unknown_tagged_fields: BTreeMap<i32, Bytes>,");
    add!(code, "}}");

    add!(code, "impl Default for {name} {{");
    add!(code, "fn default() -> Self {{ Self {{");
    for field in fields {
        add!(code, "{}: {},", snake(&field.name), default(field));
    }
    add!(code, "unknown_tagged_fields: BTreeMap::new(),");
    add!(code, "}} }} }}");

    add!(code, "impl {name} {{");
    for field in fields {
        let (field_name, rust_type) = (snake(&field.name), rust_type(field));
        add!(
            code,
            "pub fn with_{field_name}(mut self, value: {rust_type}) -> Self {{"
        );
        add!(code, "self.{field_name} = value; self }}");
    }
    add!(
        code,
        "pub fn with_unknown_tagged_fields(mut self, value: BTreeMap<i32, Bytes>) -> Self {{ \
         self.unknown_tagged_fields = value; self }}"
    );
    add!(
        code,
        "pub fn with_unknown_tagged_field(mut self, key: i32, value: Bytes) -> Self {{ \
         self.unknown_tagged_fields.insert(key, value); self }}"
    );
    add!(code, "}}");

    add!(code, "impl Message for {name} {{");
    add!(
        code,
        "const VERSIONS: VersionRange = VersionRange {{ min: {first}, max: {last} }};"
    );
    add!(
        code,
        "const DEPRECATED_VERSIONS: Option<VersionRange> = None;"
    );
    add!(code, "}}");
    add!(code, "whole_message!({name});");

    add!(code, "impl Value for {name} {{");
    write_code(code, message, fields);
    read_code(code, message, fields);
    add!(code, "}}");
}

fn write_code(code: &mut String, message: &Message, fields: &[Field]) {
    add!(
        code,
        "fn write(&self, out: &mut impl Sink, form: Form) -> Result<()> {{ let version = form.version;"
    );
    for field in fields.iter().filter(|field| field.tag.is_none()) {
        let name = snake(&field.name);
        let write = format!("self.{name}.write(out, form)?;");
        match (condition(field, message), field.is_ignorable) {
            (None, _) => add!(code, "{write}"),
            (Some(is_there), true) => add!(code, "if {is_there} {{ {write} }}"),
            (Some(is_there), false) => add!(
                code,
                "if {is_there} {{ {write} }} else {{ absent(&self.{name}, &{}, {name:?})?; }}",
                default(field)
            ),
        }
    }
    let mut tagged: Vec<&Field> = fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    for field in &tagged {
        if let (Some(is_there), false) = (condition(field, message), field.is_ignorable) {
            let name = snake(&field.name);
            let default = default(field);
            add!(
                code,
                "let is_there = {is_there}; if !is_there {{ absent(&self.{name}, &{default}, {name:?})?; }}"
            );
        }
    }
    add!(code, "if form.is_flexible() {{");
    if !tagged.is_empty() {
        add!(code, "let mut tagged = TaggedFields::default();");
    } else {
        add!(code, "let tagged = TaggedFields::default();");
    }
    for field in tagged {
        let (name, default) = (snake(&field.name), default(field));
        let is_there = condition(field, message).map_or(String::new(), |is| format!("{is} && "));
        let tag = field.tag.unwrap_or_default();
        add!(
            code,
            "if {is_there}is_set(&self.{name}, &{default}) {{ tagged.add({tag}, &self.{name}, form)?; }}"
        );
    }
    add!(code, "tagged.write(&self.unknown_tagged_fields, out)?;");
    add!(code, "}} let _ = version; Ok(()) }}");
}

fn read_code(code: &mut String, message: &Message, fields: &[Field]) {
    add!(
        code,
        "fn read<B: ByteBuf>(buf: &mut B, form: Form) -> Result<Self> {{ let version = form.version;"
    );
    add!(code, "let mut read = Self::default();");
    for field in fields.iter().filter(|field| field.tag.is_none()) {
        let name = snake(&field.name);
        let read = format!("read.{name} = Value::read(buf, form)?;");
        match condition(field, message) {
            None => add!(code, "{read}"),
            Some(is_there) => add!(code, "if {is_there} {{ {read} }}"),
        }
    }
    add!(code, "if form.is_flexible() {{");
    if fields.iter().all(|field| field.tag.is_none()) {
        add!(
            code,
            "read_tagged_fields(buf, &mut read.unknown_tagged_fields, |_, _| Ok(false))?;"
        );
        add!(code, "}} let _ = version; Ok(read) }}");
        return;
    }
    add!(
        code,
        "read_tagged_fields(buf, &mut read.unknown_tagged_fields, |tag, buf| match tag {{"
    );
    for field in fields {
        let Some(tag) = field.tag else { continue };
        let name = snake(&field.name);
        let is_there = condition(field, message).map_or(String::new(), |is| format!("if {is} "));
        add!(
            code,
            "{tag} {is_there}=> {{ read.{name} = Value::read(buf, form)?; Ok(true) }}"
        );
    }
    add!(code, "_ => Ok(false), }})?;");
    add!(code, "}} let _ = version; Ok(read) }}");
}

/// When the field is there, if not in every version of the message.
fn condition(field: &Field, message: &Message) -> Option<String> {
    let all = message.versions();
    let Versions { first, last } = field.versions.intersect(all);
    match (first > all.first, last < all.last) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {first}")),
        (false, true) => Some(format!("version <= {last}")),
        (true, true) => Some(format!("({first}..={last}).contains(&version)")),
    }
}

fn in_words(field: &Field, message: &Message) -> String {
    let Versions { first, last } = field.versions.intersect(message.versions());
    let mut words = match first == last {
        true => format!("Version {first}"),
        false => format!("Versions {first} to {last}"),
    };
    let null = field.null.intersect(message.versions());
    if null != Versions::NONE {
        write!(words, "; null in {} to {}", null.first, null.last).expect("into a string");
    }
    if let Some(tag) = field.tag {
        write!(words, "; tag {tag}").expect("into a string");
    }
    words
}

fn is_nullable(field: &Field) -> bool {
    field.null != Versions::NONE
}

fn rust_type(field: &Field) -> String {
    let entity = field.entity.as_deref();
    let item = match (&field.item[..], entity) {
        ("int32", Some("brokerId")) => "super::BrokerId",
        ("int64", Some("producerId")) => "super::ProducerId",
        ("string", Some("groupId")) => "super::GroupId",
        ("string", Some("topicName")) => "super::TopicName",
        ("string", Some("transactionalId")) => "super::TransactionalId",
        (item, Some(entity)) => panic!("{}: {item} as {entity}", field.name),
        ("bool", None) => "bool",
        ("int8", None) => "i8",
        ("int16", None) => "i16",
        ("uint16", None) => "u16",
        ("int32", None) => "i32",
        ("int64", None) => "i64",
        ("float64", None) => "f64",
        ("uuid", None) => "Uuid",
        ("string", None) => "StrBytes",
        ("bytes" | "records", None) => "Bytes",
        (structure, None) => structure,
    };
    let whole = match field.is_array {
        true => format!("Vec<{item}>"),
        false => item.to_string(),
    };
    match is_nullable(field) {
        true => format!("Option<{whole}>"),
        false => whole,
    }
}

fn default(field: &Field) -> String {
    let rust_type = rust_type(field);
    match field.default.as_deref() {
        Some("null") => "None".to_string(),
        None if is_nullable(field) => {
            let inner = &rust_type["Option<".len()..rust_type.len() - 1];
            format!("Some(<{inner}>::default())")
        }
        None => format!("<{rust_type}>::default()"),
        Some(value) if rust_type.starts_with("super::") => format!("{rust_type}({value})"),
        Some(value) => {
            assert!(
                field.item != "string" && field.item != "uuid",
                "{}: a default that needs more than is here",
                field.name
            );
            value.to_string()
        }
    }
}
