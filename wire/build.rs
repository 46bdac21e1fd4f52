//! Turns `schema/kafka-4.4.txt` into Rust: the api keys, the tables of the checker, and the messages that crate
//! `kafka-protocol` lacks or has in an older version. And `schema/group-records-4.4.txt`, all of whose messages the crate
//! lacks.

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
#[path = "build/records.rs"]
mod records;
#[path = "build/table.rs"]
mod table;

use std::path::Path;
use std::{env, fs};

use table::{Api, Notation};

const APIS: &str = "schema/kafka-4.4.txt";
const GROUP_RECORDS: &str = "schema/group-records-4.4.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let apis = read(APIS, &table::APIS);
    write("api_keys.rs", api_keys::generate(&apis));
    write("checker.rs", checker::generate(&apis, &checker::APIS));
    write("messages.rs", messages::generate(&apis));
    let records = read(GROUP_RECORDS, &table::RECORDS);
    write(
        "group_records_checker.rs",
        checker::generate(&records, &checker::GROUP_RECORDS),
    );
    write("group_records.rs", records::generate(&records));
}

fn read(path: &str, notation: &Notation) -> Vec<Api> {
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(path).expect("the tables are in the crate");
    table::parse(&text, notation).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn write(name: &str, code: String) {
    let out = env::var("OUT_DIR").expect("cargo names the folder to write to");
    fs::write(Path::new(&out).join(name), code).expect("write generated code");
}
