//! Turns `schema/kafka-4.4.txt` into Rust: the api keys, the tables of the checker, and the messages that crate
//! `kafka-protocol` lacks or has in an older version.

/// A line of generated code.
macro_rules! add {
    ($code:expr, $($text:tt)*) => {
        writeln!($code, $($text)*).expect("into a string")
    };
}

#[path = "build/api_keys.rs"]
mod api_keys;
#[path = "build/checker.rs"]
mod checker;
#[path = "build/messages.rs"]
mod messages;
#[path = "build/names.rs"]
mod names;
#[path = "build/table.rs"]
mod table;

use std::path::Path;
use std::{env, fs};

const TABLE: &str = "schema/kafka-4.4.txt";

fn main() {
    println!("cargo::rerun-if-changed={TABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let text = fs::read_to_string(TABLE).expect("the table of messages is in the crate");
    let apis = table::parse(&text).unwrap_or_else(|error| panic!("{TABLE}: {error}"));
    let out = env::var("OUT_DIR").expect("cargo names the folder to write to");
    let write = |name: &str, code: String| {
        fs::write(Path::new(&out).join(name), code).expect("write generated code");
    };
    write("api_keys.rs", api_keys::generate(&apis));
    write("checker.rs", checker::generate(&apis));
    write("messages.rs", messages::generate(&apis));
}
