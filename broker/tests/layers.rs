//! Who may import whom inside `broker/src`. To add an edge, change the table; to add a folder, give it a row.
//!
//! Sources are read as tokens, so comments and strings do not count, and macros and code for tests do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use proc_macro2::TokenStream;

#[path = "layers/reader.rs"]
mod reader;

use reader::{Found, WHOLE_CRATE};

/// A row: a folder of `broker/src` and the folders it may import, which stand above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("metrics", &[]),
    ("config", &[]),
    ("raft", &["config"]),
    ("storage", &["config", "raft"]),
    ("peers", &["config", "raft"]),
    ("metadata", &["config", "raft", "storage"]),
    ("quota", &["config", "metadata"]),
    ("partition", &["config", "raft", "storage", "metadata"]),
    (
        "engine",
        &["config", "raft", "storage", "metadata", "partition"],
    ),
    (
        "cluster",
        &[
            "raft",
            "storage",
            "peers",
            "metadata",
            "partition",
            "engine",
        ],
    ),
    (
        "replicas",
        &[
            "config",
            "raft",
            "storage",
            "metadata",
            "partition",
            "engine",
            "cluster",
        ],
    ),
    ("security", &["config", "metadata"]),
    (
        "group",
        &[
            "config",
            "raft",
            "storage",
            "metadata",
            "partition",
            "engine",
            "replicas",
        ],
    ),
    ("transaction", &["config", "metadata", "partition"]),
    ("telemetry", &["config", "metadata"]),
    (
        "api",
        &[
            "config",
            "raft",
            "storage",
            "peers",
            "metadata",
            "partition",
            "engine",
            "cluster",
            "replicas",
            "security",
            "quota",
            "group",
            "transaction",
            "telemetry",
        ],
    ),
    ("net", &["config", "quota", "api"]),
    (
        "admin",
        &[
            "config",
            "raft",
            "storage",
            "peers",
            "metadata",
            "partition",
            "engine",
            "replicas",
            "security",
            "group",
            "transaction",
            "telemetry",
            "api",
            "net",
        ],
    ),
];

/// Programs: what they call `crate` is themselves, and they see the broker as its users do.
const PROGRAMS: &[&str] = &["bin", "dump_log"];

/// Files beside the folders that any folder may import, and one folder, whose own imports its row lists. What the files import is
/// not checked.
const SHARED_FILES: &[&str] = &["budget", "clock", "complaints", "metrics"];

/// Files beside the folders that put the layers together: no folder may import them. What they import is not checked.
const WIRING_FILES: &[&str] = &["lib", "main", "server", "serve", "identity", "demo"];

#[test]
fn a_folder_imports_only_what_its_row_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    list(&src, &mut files);
    let mut report = String::new();
    let mut seen = BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source file can be read");
        let name = file.strip_prefix(&src).expect("it was listed from there");
        seen.insert(name.components().next().map(|c| c.as_os_str().to_owned()));
        for violation in violations(name, &source) {
            writeln!(report, "src/{violation}").expect("a string takes any text");
        }
    }
    assert!(
        seen.len() > 2,
        "few sources were read: {seen:?} in {}",
        src.display()
    );
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn a_row_names_only_folders_above_it() {
    for (at, (folder, allowed)) in LAYERS.iter().enumerate() {
        for name in *allowed {
            let above = LAYERS[..at].iter().any(|(other, _)| other == name);
            assert!(above, "{folder} lists {name}, which is no row above it");
        }
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("a source folder can be listed");
    for entry in entries {
        let path = entry.expect("a source folder can be listed").path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

// ---- the rules ----

/// One line a violation, `file:line: what`; `file` is relative to `broker/src`.
fn violations(file: &Path, source: &str) -> Vec<String> {
    let mut module: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let top = module[0].clone();
    let in_folder = module.len() > 1;
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let tokens: TokenStream = match source.parse() {
        Ok(tokens) => tokens,
        Err(error) => return vec![format!("{}: {error}", file.display())],
    };
    let mut found = Found::default();
    found.read(tokens, &module);

    let mut lines = Vec::new();
    let mut report = |line: usize, what: String| {
        lines.push((line, format!("{}:{line}: {what}", file.display())))
    };
    if in_folder {
        match LAYERS.iter().find(|(folder, _)| *folder == top) {
            Some((_, allowed)) => {
                for reference in &found.references {
                    if let Some(what) = judge(&top, allowed, &reference.name) {
                        report(reference.line, what);
                    }
                }
            }
            None if PROGRAMS.contains(&top.as_str()) => {}
            None => report(1, format!("folder {top} has no row in the table")),
        }
    } else if !SHARED_FILES.contains(&top.as_str()) && !WIRING_FILES.contains(&top.as_str()) {
        report(1, format!("file {top}.rs is in neither list of files"));
    }
    for name in &found.names {
        let lower = name.name.to_lowercase();
        if top != "storage" && lower.contains("rocksdb") {
            let what = format!("only storage names RocksDB: {}", name.name);
            report(name.line, what);
        }
        if top == "raft" && (lower.contains("kafka") || lower == "millrace_wire") {
            report(name.line, format!("raft knows no Kafka: {}", name.name));
        }
    }
    if top == "raft" {
        for socket in &found.sockets {
            report(
                socket.line,
                format!("raft knows no sockets: {}", socket.name),
            );
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, text)| text).collect()
}

/// What is wrong with a file of folder `top` naming `crate::name`.
fn judge(top: &str, allowed: &[&str], name: &str) -> Option<String> {
    if name == top || allowed.contains(&name) || SHARED_FILES.contains(&name) {
        None
    } else if LAYERS.iter().any(|(folder, _)| *folder == name) {
        Some(format!("{top} may not import {name}"))
    } else if WIRING_FILES.contains(&name) {
        Some(format!(
            "{top} may not import {name}, which wires the layers"
        ))
    } else if name == WHOLE_CRATE {
        Some(format!("{top} imports the whole crate"))
    } else {
        Some(format!(
            "crate::{name} is neither a layer nor a shared file"
        ))
    }
}

// ---- the rules catch planted text ----

#[track_caller]
fn check(file: &str, source: &str, expected: Expect) {
    let lines: String = violations(Path::new(file), source)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    expected.assert_eq(&lines);
}

#[test]
fn an_import_of_a_folder_above_is_found() {
    check(
        "raft/group.rs",
        "use crate::raft::ports;
use crate::storage::log::Log;
fn now(clock: &crate::clock::Clock, log: crate::partition::Log<crate::metadata::Image>) {}",
        expect![[r#"
            raft/group.rs:2: raft may not import storage
            raft/group.rs:3: raft may not import metadata
            raft/group.rs:3: raft may not import partition
        "#]],
    );
}

#[test]
fn a_row_s_folders_may_be_imported() {
    check(
        "partition/append.rs",
        "use crate::{config, metadata::image, partition::read, raft, storage::{entry, ids::*}};
pub(crate) fn f() {}
pub(super) fn g(self: &super::State) -> usize { self as usize }",
        expect![],
    );
}

#[test]
fn groups_in_groups_over_many_lines_are_read() {
    check(
        "storage/log/mod.rs",
        "use crate::{
    raft::{
        ports,
        worker::{self, Worker},
    },
    partition::{
        append as write,
    },
    api,
};",
        expect![[r#"
            storage/log/mod.rs:6: storage may not import partition
            storage/log/mod.rs:9: storage may not import api
        "#]],
    );
}

#[test]
fn a_way_up_by_super_is_followed() {
    check(
        "raft/mod.rs",
        "use super::storage;
mod tests {
    use super::worker;
    use super::super::partition;
}",
        expect![[r#"
            raft/mod.rs:1: raft may not import storage
            raft/mod.rs:4: raft may not import partition
        "#]],
    );
    check(
        "storage/log/segment.rs",
        "use super::super::super::raft;
use super::super::families;
use super::super::super::{group, super::transaction};
use self::super::super::super::peers::Frame;",
        expect![[r#"
            storage/log/segment.rs:3: storage may not import group
            storage/log/segment.rs:3: storage may not import transaction
            storage/log/segment.rs:4: storage may not import peers
        "#]],
    );
}

#[test]
fn code_for_tests_and_macros_is_read_and_comments_are_not() {
    check(
        "raft/worker.rs",
        r#"//! Above it stand [`crate::storage`] and crate::partition.
/* use crate::api; /* rocksdb */ */
const TEXT: &str = "use crate::net; kafka";
#[cfg(test)]
mod tests {
    #[test]
    fn a_lifetime_is_no_quote<'a>() {
        assert_eq!('"', crate::admin::quote());
    }
}
macro_rules! up { () => { $crate::metadata::up() } }"#,
        expect![[r#"
            raft/worker.rs:8: raft may not import admin
            raft/worker.rs:11: raft may not import metadata
        "#]],
    );
}

#[test]
fn the_crate_s_root_cannot_be_imported_whole() {
    check(
        "raft/a.rs",
        "use crate::*;",
        expect![[r#"
        raft/a.rs:1: raft imports the whole crate
    "#]],
    );
    check(
        "raft/a.rs",
        "use crate as root;",
        expect![[r#"
        raft/a.rs:1: raft imports the whole crate
    "#]],
    );
    check(
        "raft/a.rs",
        "use crate::{self as root};",
        expect![[r#"
        raft/a.rs:1: raft imports the whole crate
    "#]],
    );
    check(
        "raft/a.rs",
        "use crate::server::run;",
        expect![[r#"
        raft/a.rs:1: raft may not import server, which wires the layers
    "#]],
    );
    check(
        "raft/a.rs",
        "use crate::Storage;",
        expect![[r#"
        raft/a.rs:1: crate::Storage is neither a layer nor a shared file
    "#]],
    );
}

#[test]
fn only_storage_names_rocksdb() {
    check("storage/families/rocks.rs", "use rocksdb::DB;", expect![]);
    check(
        "partition/a.rs",
        "fn f(db: &::rocksdb::DB) {}",
        expect![[r#"
        partition/a.rs:1: only storage names RocksDB: rocksdb
    "#]],
    );
    check(
        "server.rs",
        "use librocksdb_sys as _;",
        expect![[r#"
        server.rs:1: only storage names RocksDB: librocksdb_sys
    "#]],
    );
    check(
        "bin/tool.rs",
        "use crate::x;\nuse rocksdb;",
        expect![[r#"
        bin/tool.rs:2: only storage names RocksDB: rocksdb
    "#]],
    );
}

#[test]
fn raft_names_neither_kafka_nor_sockets() {
    check(
        "raft/a.rs",
        "use std::{io, net::{SocketAddr, TcpStream}, fmt};
async fn f(s: tokio::net::TcpStream) { ::std::net::lookup(s) }
use millrace_wire::batch;
struct KafkaOffset;",
        expect![[r#"
            raft/a.rs:1: raft knows no sockets: std::net
            raft/a.rs:1: raft knows no sockets: std::net
            raft/a.rs:2: raft knows no sockets: std::net
            raft/a.rs:2: raft knows no sockets: tokio::net
            raft/a.rs:3: raft knows no Kafka: millrace_wire
            raft/a.rs:4: raft knows no Kafka: KafkaOffset
        "#]],
    );
    check("peers/a.rs", "use std::net::SocketAddr;", expect![]);
}

#[test]
fn a_folder_or_file_that_no_table_names_is_found() {
    check(
        "gossip/mod.rs",
        "",
        expect![[r#"
        gossip/mod.rs:1: folder gossip has no row in the table
    "#]],
    );
    check(
        "helpers.rs",
        "",
        expect![[r#"
        helpers.rs:1: file helpers.rs is in neither list of files
    "#]],
    );
    check("bin/millrace.rs", "use crate::anything;", expect![]);
    check("server.rs", "use crate::{api, raft, storage};", expect![]);
}
