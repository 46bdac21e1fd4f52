//! The tables of the checker: every message's structures as constants (`src/check/schema.rs` has their types).

use crate::names::snake;
use crate::table::{Api, Field, Message, Struct, Versions};
use std::fmt::Write;

/// Structures nest as deep as this at most, which bounds the checker's recursion.
const MAX_DEPTH: usize = 8;

/// What the generated code calls its tables, and where the messages are.
pub struct Names {
    requests: &'static str,
    responses: &'static str,
    messages: &'static str,
}

pub const APIS: Names = Names {
    requests: "REQUESTS",
    responses: "RESPONSES",
    messages: "crate::messages",
};

pub const GROUP_RECORDS: Names = Names {
    requests: "KEYS",
    responses: "VALUES",
    messages: "crate::group_records",
};

pub fn generate(apis: &[Api], names: &Names) -> String {
    let mut code = String::new();
    for message in apis.iter().flat_map(|api| [&api.request, &api.response]) {
        message_code(&mut code, message, names.messages);
    }
    for (name, message) in [
        (names.requests, (|api| &api.request) as fn(&Api) -> &Message),
        (names.responses, |api| &api.response),
    ] {
        add!(code, "pub static {name}: [Message; {}] = [", apis.len());
        for api in apis {
            let message = message(api);
            let upper = snake(&message.name).to_uppercase();
            let flexible = first_flexible(message);
            let name = &message.name;
            add!(
                code,
                "    Message {{ name: {name:?}, first_flexible: {flexible}, fields: {upper} }},"
            );
        }
        code.push_str("];\n");
    }
    code
}

fn message_code(code: &mut String, message: &Message, messages: &str) {
    let module = snake(&message.name);
    let upper = module.to_uppercase();
    bound(message, &message.fields, 0);
    for structure in &message.structs {
        let Struct { name, fields } = structure;
        let fields = fields_code(message, fields);
        let last = message.versions().last;
        let sizes: Vec<String> = (0..=last)
            .map(|version| min_bytes(message, structure, version).to_string())
            .collect();
        add!(
            code,
            "static {upper}_{}: Structure = Structure {{ fields: {fields}, min_bytes: &[{}], \
             decoded_bytes: size_of::<{messages}::{module}::{name}>() }};",
            snake(name).to_uppercase(),
            sizes.join(", "),
        );
    }
    let fields = fields_code(message, &message.fields);
    add!(code, "static {upper}: &[Field] = {fields};");
}

/// Shows that structures nest in each other for a while only, and that elements of arrays have at least a byte.
fn bound(message: &Message, fields: &[Field], depth: usize) {
    assert!(depth < MAX_DEPTH, "{} nests too deep", message.name);
    for field in fields {
        let Some(structure) = structure_of(message, field) else {
            continue;
        };
        bound(message, &structure.fields, depth + 1);
        let versions = field.versions.intersect(message.versions());
        for version in versions.first..=versions.last {
            let min_bytes = min_bytes(message, structure, version);
            assert!(min_bytes > 0, "{}: elements of no bytes", field.name);
        }
    }
}

fn structure_of<'a>(message: &'a Message, field: &Field) -> Option<&'a Struct> {
    let mut structs = message.structs.iter();
    structs.find(|structure| structure.name == field.item)
}

fn fields_code(message: &Message, fields: &[Field]) -> String {
    let mut code = String::from("&[");
    for field in fields {
        let kind = match primitive_bytes(&field.item) {
            Some(bytes) => format!("Kind::Fixed({bytes})"),
            None if field.item == "string" => "Kind::String".to_string(),
            None if field.item == "bytes" || field.item == "records" => "Kind::Bytes".to_string(),
            None => {
                let upper = snake(&message.name).to_uppercase();
                let structure = snake(&field.item).to_uppercase();
                format!("Kind::Structure(&{upper}_{structure})")
            }
        };
        let versions = |versions: Versions| format!("({}, {})", versions.first, versions.last);
        write!(
            code,
            "Field {{ name: {:?}, kind: {kind}, is_array: {}, versions: {}, null: {}, tag: {:?} }}, ",
            field.name,
            field.is_array,
            versions(field.versions),
            versions(field.null),
            field.tag,
        )
        .expect("into a string");
    }
    code.push(']');
    code
}

pub fn first_flexible(message: &Message) -> i16 {
    match message.flexible() {
        Versions::NONE => i16::MAX,
        versions => versions.first,
    }
}

/// The bytes that a value of this structure has at least: what bounds the length of an array of it.
fn min_bytes(message: &Message, structure: &Struct, version: i16) -> usize {
    let is_flexible = version >= first_flexible(message);
    let of_field = |field: &Field| {
        let is_nullable = contains(field.null, version);
        match primitive_bytes(&field.item) {
            _ if !contains(field.versions, version) || field.tag.is_some() => 0,
            _ if field.is_array => [4, 1][usize::from(is_flexible)],
            Some(bytes) => bytes,
            None => match &field.item[..] {
                "string" => [2, 1][usize::from(is_flexible)],
                "bytes" | "records" => [4, 1][usize::from(is_flexible)],
                _ if is_nullable => 1,
                name => {
                    let inner = structure_of(message, field);
                    let inner = inner.unwrap_or_else(|| panic!("no structure {name}"));
                    min_bytes(message, inner, version)
                }
            },
        }
    };
    let fields: usize = structure.fields.iter().map(of_field).sum();
    fields + usize::from(is_flexible)
}

pub fn contains(versions: Versions, version: i16) -> bool {
    (versions.first..=versions.last).contains(&version)
}

fn primitive_bytes(name: &str) -> Option<usize> {
    Some(match name {
        "bool" | "int8" => 1,
        "int16" | "uint16" => 2,
        "int32" => 4,
        "int64" | "float64" => 8,
        "uuid" => 16,
        _ => return None,
    })
}
