//! What every implementation of the port promises, held against RocksDB and against the twin.
#![allow(clippy::unwrap_used)]

use super::rocks::RocksFamilies;
use super::twin::TwinFamilies;
use super::{Error, Families, Family};
use bytes::Bytes;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub(super) const RECORDS: Family = Family::Records(3);
pub(super) const PACKED: Family = Family::Packed(1);

pub(super) trait Subject {
    fn families(&self) -> &dyn Families;
    /// An orderly stop and start.
    fn reopen(&mut self);
    /// A stop without warning, of which nothing unflushed survives.
    fn crash(&mut self);
}

pub(super) struct Rocks {
    folder: TempDir,
    families: Option<RocksFamilies>,
}

impl Rocks {
    pub(super) fn new() -> Rocks {
        Rocks::at(TempDir::new().unwrap())
    }

    fn at(folder: TempDir) -> Rocks {
        let families = Some(RocksFamilies::open(folder.path()).unwrap());
        Rocks { folder, families }
    }
}

impl Subject for Rocks {
    fn families(&self) -> &dyn Families {
        self.families.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.families = None;
        self.families = Some(RocksFamilies::open(self.folder.path()).unwrap());
    }

    fn crash(&mut self) {
        let left = TempDir::new().unwrap();
        copy(self.folder.path(), left.path());
        *self = Rocks::at(left);
    }
}

/// What a killed process leaves behind: the files without what it holds in memory.
pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub(super) struct Twin(TwinFamilies);

impl Twin {
    pub(super) fn new() -> Twin {
        Twin(TwinFamilies::new())
    }
}

impl Subject for Twin {
    fn families(&self) -> &dyn Families {
        &self.0
    }

    fn reopen(&mut self) {
        self.0 = self.0.crash(&mut |choices| choices - 1);
    }

    fn crash(&mut self) {
        self.0 = self.0.crash(&mut |_| 0);
    }
}

type Row<'a> = (&'a str, &'a str);

fn ingest(families: &dyn Families, family: Family, rows: &[Row<'_>]) -> Result<u64, Error> {
    let row = |&(key, value): &Row<'_>| (key.into(), Bytes::copy_from_slice(value.as_bytes()));
    families.ingest(family, &mut rows.iter().map(row))
}

fn put(families: &dyn Families, rows: &[(&str, Option<&str>)]) {
    let changes: Vec<_> = rows
        .iter()
        .map(|(key, value)| ((*key).into(), value.map(Into::into)))
        .collect();
    families.put(&changes).unwrap();
}

/// The rows with `from <= key < to` as `key=value`, in one line.
fn scan(families: &dyn Families, family: Family, from: &str, to: &str) -> String {
    let mut seen = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        seen.push(format!("{}={}", text(key), text(value)));
        true
    };
    families
        .scan(family, from.as_bytes(), to.as_bytes(), 0, visit)
        .unwrap();
    seen.join(" ")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn refused(result: Result<u64, Error>) {
    let error = result.expect_err("the ingest is refused");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

macro_rules! contract {
    ($($rule:ident)*) => {
        mod rocks {
            $(#[test] fn $rule() { super::$rule(&mut super::Rocks::new()); })*
        }
        mod twin {
            $(#[test] fn $rule() { super::$rule(&mut super::Twin::new()); })*
        }
    };
}

contract! {
    a_scan_keeps_to_its_bounds_and_to_the_order_of_keys
    a_visitor_ends_the_scan
    the_last_row_lies_between_both_bounds
    rows_that_do_not_ascend_are_refused_whole
    records_over_present_ones_are_refused
    packed_runs_interleave
    no_rows_are_no_file
    rows_are_not_ingested_and_unknown_families_are_refused
    small_rows_are_changed_and_read_at_once
    a_crash_loses_what_was_not_flushed
    an_ingested_run_survives_a_crash
    dropping_a_run_leaves_the_ones_around_it
    dropping_part_of_a_run_leaves_the_rest_of_it
    a_dropped_range_can_be_ingested_anew
    a_dropped_range_of_small_rows_is_gone
    rows_of_a_mebibyte_come_back
    disk_bytes_follow_what_is_ingested_and_dropped
    families_are_apart
    an_empty_or_inverted_range_holds_nothing
}

fn a_scan_keeps_to_its_bounds_and_to_the_order_of_keys(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, RECORDS, &[("d", "4"), ("e", "5")]).unwrap();
    ingest(families, RECORDS, &[("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
    assert_eq!(scan(families, RECORDS, "", "z"), "a=1 b=2 c=3 d=4 e=5");
    assert_eq!(scan(families, RECORDS, "b", "d"), "b=2 c=3");
    assert_eq!(scan(families, RECORDS, "bb", "dd"), "c=3 d=4");
    let mut seen = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        seen += 1;
        true
    };
    families.scan(RECORDS, b"a", b"z", 1 << 20, visit).unwrap();
    assert_eq!(seen, 5);
}

fn a_visitor_ends_the_scan(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, RECORDS, &[("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
    let mut seen = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        seen.push(key.to_vec());
        seen.len() < 2
    };
    families.scan(RECORDS, b"a", b"z", 0, visit).unwrap();
    assert_eq!(seen, [b"a", b"b"]);
}

fn the_last_row_lies_between_both_bounds(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, RECORDS, &[("b", "2"), ("d", "4")]).unwrap();
    put(families, &[("b", Some("2")), ("d", Some("4"))]);
    for family in [RECORDS, Family::Rows] {
        let last = |from: &str, at: &str| {
            let row = families.last_at_or_before(family, from.as_bytes(), at.as_bytes());
            row.unwrap()
                .map_or("none".into(), |(key, _)| text(&key).to_owned())
        };
        assert_eq!(last("a", "a"), "none");
        assert_eq!(last("a", "b"), "b");
        assert_eq!(last("a", "c"), "b");
        assert_eq!(last("b", "b"), "b");
        assert_eq!(last("c", "cc"), "none");
        assert_eq!(last("a", "z"), "d");
        assert_eq!(last("d", "b"), "none");
    }
}

fn rows_that_do_not_ascend_are_refused_whole(subject: &mut dyn Subject) {
    let families = subject.families();
    for family in [RECORDS, PACKED] {
        refused(ingest(families, family, &[("b", "2"), ("a", "1")]));
        refused(ingest(families, family, &[("a", "1"), ("a", "1")]));
        assert_eq!(scan(families, family, "", "z"), "");
        ingest(families, family, &[("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(scan(families, family, "", "z"), "a=1 b=2");
    }
}

fn records_over_present_ones_are_refused(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, RECORDS, &[("c", "3"), ("f", "6")]).unwrap();
    refused(ingest(families, RECORDS, &[("c", "again")]));
    refused(ingest(families, RECORDS, &[("b", "2"), ("d", "4")]));
    refused(ingest(families, RECORDS, &[("a", "1"), ("g", "7")]));
    ingest(families, RECORDS, &[("d", "4"), ("e", "5")]).unwrap();
    ingest(families, RECORDS, &[("g", "7")]).unwrap();
    assert_eq!(scan(families, RECORDS, "", "z"), "c=3 d=4 e=5 f=6 g=7");
}

fn packed_runs_interleave(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, PACKED, &[("a1", "1"), ("b1", "2"), ("c1", "3")]).unwrap();
    ingest(families, PACKED, &[("a2", "4"), ("b2", "5"), ("c2", "6")]).unwrap();
    let all = "a1=1 a2=4 b1=2 b2=5 c1=3 c2=6";
    assert_eq!(scan(families, PACKED, "", "z"), all);
    subject.crash();
    assert_eq!(scan(subject.families(), PACKED, "", "z"), all);
}

fn no_rows_are_no_file(subject: &mut dyn Subject) {
    let families = subject.families();
    let before = families.disk_bytes().unwrap();
    assert_eq!(ingest(families, RECORDS, &[]).unwrap(), 0);
    assert_eq!(families.disk_bytes().unwrap(), before);
}

fn rows_are_not_ingested_and_unknown_families_are_refused(subject: &mut dyn Subject) {
    let families = subject.families();
    refused(ingest(families, Family::Rows, &[("a", "1")]));
    refused(ingest(families, Family::Records(16), &[("a", "1")]));
    refused(ingest(families, Family::Packed(2), &[("a", "1")]));
    let error = families.get(Family::Records(16), b"a").unwrap_err();
    assert!(error.to_string().contains("no family"), "{error}");
}

fn small_rows_are_changed_and_read_at_once(subject: &mut dyn Subject) {
    let families = subject.families();
    put(families, &[("a", Some("1")), ("b", Some("2"))]);
    put(families, &[("a", None), ("b", Some("3")), ("c", Some(""))]);
    assert_eq!(scan(families, Family::Rows, "", "z"), "b=3 c=");
    let get = |key: &[u8]| families.get(Family::Rows, key).unwrap();
    assert_eq!(get(b"a"), None);
    assert_eq!(get(b"b").as_deref(), Some(&b"3"[..]));
    assert_eq!(get(b"c").as_deref(), Some(&b""[..]));
    families.put(&[]).unwrap();
    subject.reopen();
    assert_eq!(scan(subject.families(), Family::Rows, "", "z"), "b=3 c=");
}

fn a_crash_loses_what_was_not_flushed(subject: &mut dyn Subject) {
    let families = subject.families();
    put(
        families,
        &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))],
    );
    families.flush().unwrap();
    put(families, &[("a", Some("new")), ("b", None)]);
    families.drop_range(Family::Rows, b"c", b"d").unwrap();
    put(families, &[("d", Some("4"))]);
    assert_eq!(scan(families, Family::Rows, "", "z"), "a=new d=4");
    subject.crash();
    assert_eq!(
        scan(subject.families(), Family::Rows, "", "z"),
        "a=1 b=2 c=3"
    );
    subject.crash();
    assert_eq!(
        scan(subject.families(), Family::Rows, "", "z"),
        "a=1 b=2 c=3"
    );
}

fn an_ingested_run_survives_a_crash(subject: &mut dyn Subject) {
    for family in [RECORDS, PACKED] {
        ingest(subject.families(), family, &[("a", "1"), ("b", "2")]).unwrap();
        subject.crash();
        assert_eq!(scan(subject.families(), family, "", "z"), "a=1 b=2");
    }
}

fn dropping_a_run_leaves_the_ones_around_it(subject: &mut dyn Subject) {
    for family in [RECORDS, PACKED] {
        let families = subject.families();
        // The last one is a single row whose key is the bound itself.
        for run in ["a", "b", "c", "d"] {
            let (first, last) = (format!("{run}1"), format!("{run}9"));
            let rows = [(first.as_str(), run), (last.as_str(), run)];
            ingest(families, family, &rows[..if run == "d" { 1 } else { 2 }]).unwrap();
        }
        families.drop_range(family, b"b1", b"d1").unwrap();
        let rest = "a1=a a9=a d1=d";
        assert_eq!(scan(families, family, "", "z"), rest);
        assert_eq!(families.get(family, b"b1").unwrap(), None);
        let last = families.last_at_or_before(family, b"b", b"d0").unwrap();
        assert_eq!(last, None);
        if family == PACKED {
            families.flush().unwrap();
        }
        subject.crash();
        assert_eq!(scan(subject.families(), family, "", "z"), rest);
    }
}

fn dropping_part_of_a_run_leaves_the_rest_of_it(subject: &mut dyn Subject) {
    for family in [RECORDS, PACKED] {
        let families = subject.families();
        ingest(families, family, &[("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
        ingest(families, family, &[("d", "4"), ("e", "5"), ("f", "6")]).unwrap();
        families.drop_range(family, b"b", b"f").unwrap();
        assert_eq!(scan(families, family, "", "z"), "a=1 f=6");
        families.drop_range(family, b"b", b"f").unwrap();
        families.flush().unwrap();
        subject.crash();
        assert_eq!(scan(subject.families(), family, "", "z"), "a=1 f=6");
    }
}

fn a_dropped_range_can_be_ingested_anew(subject: &mut dyn Subject) {
    for family in [RECORDS, PACKED] {
        let families = subject.families();
        ingest(families, family, &[("a", "1"), ("b", "2"), ("c", "3")]).unwrap();
        families.drop_range(family, b"b", b"c").unwrap();
        ingest(families, family, &[("b", "new")]).unwrap();
        assert_eq!(scan(families, family, "", "z"), "a=1 b=new c=3");
        subject.crash();
        let families = subject.families();
        assert_eq!(scan(families, family, "", "z"), "a=1 b=new c=3");
        families.drop_range(family, b"a", b"z").unwrap();
        ingest(families, family, &[("a", "new"), ("c", "new")]).unwrap();
        assert_eq!(scan(families, family, "", "z"), "a=new c=new");
        subject.reopen();
        assert_eq!(scan(subject.families(), family, "", "z"), "a=new c=new");
    }
}

fn a_dropped_range_of_small_rows_is_gone(subject: &mut dyn Subject) {
    let families = subject.families();
    put(families, &[("a", Some("old")), ("b", Some("old"))]);
    families.flush().unwrap();
    put(families, &[("b", Some("new")), ("c", Some("new"))]);
    families.flush().unwrap();
    families.drop_range(Family::Rows, b"b", b"c").unwrap();
    assert_eq!(scan(families, Family::Rows, "", "z"), "a=old c=new");
    families.flush().unwrap();
    subject.crash();
    let families = subject.families();
    assert_eq!(scan(families, Family::Rows, "", "z"), "a=old c=new");
    put(families, &[("b", Some("newest"))]);
    assert_eq!(
        scan(families, Family::Rows, "", "z"),
        "a=old b=newest c=new"
    );
}

fn rows_of_a_mebibyte_come_back(subject: &mut dyn Subject) {
    let families = subject.families();
    let value = |n: u8| Bytes::from((0..1 << 20).map(|i| i as u8 ^ n).collect::<Vec<u8>>());
    let mut rows = (0..4).map(|n| (vec![n], value(n)));
    let bytes = families.ingest(RECORDS, &mut rows).unwrap();
    assert!(bytes >= 4 << 20, "{bytes}");
    subject.reopen();
    let families = subject.families();
    for n in 0..4 {
        assert_eq!(families.get(RECORDS, &[n]).unwrap(), Some(value(n)));
    }
}

fn disk_bytes_follow_what_is_ingested_and_dropped(subject: &mut dyn Subject) {
    let families = subject.families();
    let before = families.disk_bytes().unwrap();
    let big = "x".repeat(100_000);
    ingest(families, RECORDS, &[("a", &big)]).unwrap();
    let one = families.disk_bytes().unwrap();
    ingest(families, PACKED, &[("a", &big)]).unwrap();
    let two = families.disk_bytes().unwrap();
    assert!(before + 100_000 <= one && one + 100_000 <= two);
    families.drop_range(RECORDS, b"a", b"b").unwrap();
    families.drop_range(PACKED, b"a", b"b").unwrap();
    assert_eq!(families.disk_bytes().unwrap(), before);
}

fn families_are_apart(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, Family::Records(0), &[("a", "records-0")]).unwrap();
    ingest(families, Family::Records(15), &[("a", "records-15")]).unwrap();
    ingest(families, Family::Packed(0), &[("a", "packed-0")]).unwrap();
    put(families, &[("a", Some("rows"))]);
    families.drop_range(Family::Records(0), b"a", b"b").unwrap();
    subject.reopen();
    let families = subject.families();
    assert_eq!(scan(families, Family::Records(0), "", "z"), "");
    assert_eq!(scan(families, Family::Records(15), "", "z"), "a=records-15");
    assert_eq!(scan(families, Family::Packed(0), "", "z"), "a=packed-0");
    assert_eq!(scan(families, Family::Packed(1), "", "z"), "");
    assert_eq!(scan(families, Family::Rows, "", "z"), "a=rows");
}

fn an_empty_or_inverted_range_holds_nothing(subject: &mut dyn Subject) {
    let families = subject.families();
    ingest(families, RECORDS, &[("a", "1"), ("b", "2")]).unwrap();
    put(families, &[("a", Some("1"))]);
    for family in [RECORDS, Family::Rows] {
        families.drop_range(family, b"a", b"a").unwrap();
        families.drop_range(family, b"z", b"a").unwrap();
        families.drop_range(family, b"", b"").unwrap();
        assert_eq!(scan(families, family, "a", "a"), "");
        assert_eq!(scan(families, family, "z", "a"), "");
    }
    assert_eq!(scan(families, RECORDS, "", "z"), "a=1 b=2");
    assert_eq!(scan(families, Family::Rows, "", "z"), "a=1");
}
