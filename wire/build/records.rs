//! The module `group_records`: keys and values as structures, and `GroupRecord`, which is either with its type.

use crate::messages::message_code;
use crate::names::snake;
use crate::table::Api;
use std::fmt::Write;

pub fn generate(records: &[Api]) -> String {
    let mut code = String::new();
    for record in records {
        for message in [&record.request, &record.response] {
            let (module, name) = (snake(&message.name), &message.name);
            add!(code, "pub mod {module} {{");
            add!(code, "use crate::own::prelude::*;");
            message_code(&mut code, message);
            add!(code, "}}");
            add!(code, "pub use {module}::{name};");
        }
    }
    add!(code, "group_records! {{");
    for (at, record) in records.iter().enumerate() {
        let (name, key, last) = (&record.name, record.key, record.stable.last);
        let (key_type, value_type) = (&record.request.name, &record.response.name);
        add!(
            code,
            "    {at} {name} = {key}, {last}: {key_type} {value_type};"
        );
    }
    add!(code, "}}");
    code
}
