//! Tells the program which crate rdkafka it was built with: the lock file knows.

use std::{env, fs, path::Path};

fn main() {
    let lock = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("Cargo.lock");
    println!("cargo:rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).unwrap_or_default();
    let version = text
        .split_once("name = \"rdkafka\"\nversion = \"")
        .and_then(|(_, rest)| rest.split('"').next());
    println!("cargo:rustc-env=RDKAFKA_VERSION={}", version.unwrap_or("?"));
}
