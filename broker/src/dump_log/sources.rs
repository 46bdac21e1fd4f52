//! What can be dumped: a segment, a table file, a directory. Each is taken apart by partition.

use super::names::Names;
use super::print::Printer;
use millrace_broker::metadata::GROUP;
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::families;
use millrace_broker::storage::inspect::{Directory, OpenError, SegmentFile};
use millrace_broker::storage::log::{self, Located, Position, Record};
use millrace_broker::storage::rows::GroupRow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Input(io::Error),
    /// Why it is none of ours.
    #[error("{0}")]
    Unknown(String),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Families(#[from] families::Error),
}

pub fn dump<W: Write>(path: &Path, printer: &mut Printer<'_, W>) -> Result<(), Error> {
    let path = &path.canonicalize().map_err(Error::Input)?;
    if path.is_dir() {
        return match Directory::is_one(path) {
            true => directory(path, printer),
            false => Err(Error::Unknown(
                "a directory of log.dirs has the folders log and families".to_owned(),
            )),
        };
    }
    if path.extension().is_some_and(|extension| extension == "sst") {
        return table(path, printer);
    }
    segment(path, printer)
}

/// The directory that a file of its folder `log` or `families` belongs to.
fn directory_of(file: &Path) -> Option<PathBuf> {
    let mut above = file.ancestors().skip(1);
    above
        .find(|path| Directory::is_one(path))
        .map(Path::to_owned)
}

/// The places of one partition's records.
type Places = BTreeMap<GroupId, Vec<Located>>;

fn segment<W: Write>(path: &Path, printer: &mut Printer<'_, W>) -> Result<(), Error> {
    let file = SegmentFile::open(path).map_err(|error| match error {
        OpenError::Log(error) => Error::Log(error),
        other => Error::Unknown(other.to_string()),
    })?;
    let mut names = Names::default();
    // A file that was copied away is dumped without names.
    if let Some(above) = directory_of(path) {
        match Directory::open(&above) {
            Ok(directory) => learn(&directory, &mut names),
            Err(error) => printer.fault(&format!("partitions are shown as groups: {error}")),
        }
    }
    let mut places = Places::new();
    let findings = file.visit(&mut |located, record| {
        names.learn_record(&record);
        places.entry(record.group()).or_default().push(located);
    })?;
    let mut groups: Vec<GroupId> = places.keys().copied().collect();
    groups.sort_by(|a, b| names.order(*a).cmp(&names.order(*b)));
    for group in groups {
        if !printer.wants(&names, group) {
            continue;
        }
        printer.section(path.display().to_string(), &names, group);
        for located in &places[&group] {
            if printer.has_seen_enough() {
                break;
            }
            log_record(&file, *located, printer)?;
        }
    }
    tell(&file, &findings, printer)
}

fn log_record<W: Write>(
    file: &SegmentFile,
    located: Located,
    printer: &mut Printer<'_, W>,
) -> Result<(), Error> {
    let record = file.record(located)?;
    let position = u64::from(located.position.offset);
    Ok(printer.log_record(&record, position, u64::from(located.len))?)
}

/// What was found beside the records.
fn tell<W: Write>(
    file: &SegmentFile,
    findings: &millrace_broker::storage::inspect::Findings,
    printer: &mut Printer<'_, W>,
) -> Result<(), Error> {
    let shown = file.path.display();
    for damage in &findings.damage {
        let (position, reason) = (damage.position, &damage.reason);
        printer.fault(&format!(
            "{shown} is damaged at position {position}: {reason}"
        ));
    }
    if let Some((position, bytes)) = findings.torn {
        // In Kafka's words; it is no fault: nobody was told that these records are kept.
        let name = file.path.file_name().unwrap_or_default().display();
        writeln!(
            printer.out,
            "Found {bytes} invalid bytes at the end of {name}: a torn tail from position {position} on, which the next start cuts"
        )?;
    }
    Ok(())
}

/// What the metadata in `directory` calls its groups.
fn learn(directory: &Directory, names: &mut Names) {
    names.learn_snapshot(directory);
    let Some(row) = directory.groups.get(&GROUP) else {
        return;
    };
    for path in directory.segments().unwrap_or_default() {
        if let Ok(file) = SegmentFile::open(&path)
            && file.number() >= row.entries_from.segment
        {
            names.learn_segment(&file);
        }
    }
}

fn table<W: Write>(path: &Path, printer: &mut Printer<'_, W>) -> Result<(), Error> {
    let above = directory_of(path).ok_or_else(|| {
        let why = "a table file is read with the database it belongs to: name it in its place";
        Error::Unknown(why.to_owned())
    })?;
    let directory = Directory::open(&above)?;
    let Some(table) = directory.table(path)? else {
        let why = "the database does not know it: it was not added, or is removed by now";
        return Err(Error::Unknown(why.to_owned()));
    };
    if table.family == families::Family::Rows {
        let why = "it holds no records, but the rows that say where they are";
        return Err(Error::Unknown(why.to_owned()));
    }
    let mut names = Names::default();
    learn(&directory, &mut names);
    let mut current = None;
    let mut position = 0;
    let mut failed = Ok(());
    directory.scan_table(&table, &mut |group, _, batches| {
        if !printer.wants(&names, group) {
            return true;
        }
        if current.replace(group) != Some(group) {
            printer.section(path.display().to_string(), &names, group);
            position = 0;
        }
        failed = printer.batches(&batches, position);
        position += batches.len() as u64;
        failed.is_ok() && !printer.has_seen_enough()
    })?;
    Ok(failed?)
}

/// Everything that a directory holds, by partition and offset: what is sealed, then what the shared log holds beyond.
fn directory<W: Write>(path: &Path, printer: &mut Printer<'_, W>) -> Result<(), Error> {
    let directory = Directory::open(path)?;
    for row in &directory.damaged_rows {
        printer.fault(&format!("{}: {row}", path.join("families").display()));
    }
    let mut names = Names::default();
    names.learn_snapshot(&directory);
    let mut files = BTreeMap::new();
    let mut tails: BTreeMap<GroupId, Vec<(u64, Located)>> = BTreeMap::new();
    for path in directory.segments().map_err(Error::Input)? {
        let file = match SegmentFile::open(&path) {
            Ok(file) => file,
            Err(error) => {
                printer.fault(&format!("{}: {error}", path.display()));
                continue;
            }
        };
        let findings = file.visit(&mut |located, record| {
            names.learn_record(&record);
            place(&directory.groups, &mut tails, located, &record);
        });
        match findings {
            Ok(findings) => tell(&file, &findings, printer)?,
            Err(error) => printer.fault(&error.to_string()),
        }
        files.insert(file.number(), file);
    }
    let mut groups: Vec<GroupId> = directory.groups.keys().copied().collect();
    groups.sort_by(|a, b| names.order(*a).cmp(&names.order(*b)));
    for group in groups {
        if !printer.wants(&names, group) {
            continue;
        }
        sealed(path, &directory, group, &names, printer)?;
        let tail = tails.remove(&group).unwrap_or_default();
        check_gap(&directory.groups[&group], group, &tail, &names, printer);
        let mut current = None;
        for (_, located) in tail {
            if printer.has_seen_enough() {
                break;
            }
            let segment = located.position.segment;
            let Some(file) = files.get(&segment) else {
                continue;
            };
            if current.replace(segment) != Some(segment) {
                printer.section(file.path.display().to_string(), &names, group);
            }
            log_record(file, located, printer)?;
        }
    }
    Ok(())
}

/// Notes an entry that is part of its group's log, as raft reads it: an index that comes again replaces what was there.
fn place(
    rows: &BTreeMap<GroupId, GroupRow>,
    tails: &mut BTreeMap<GroupId, Vec<(u64, Located)>>,
    located: Located,
    record: &Record,
) {
    let Record::Entry { group, entry } = record else {
        return;
    };
    let Some(row) = rows.get(group) else {
        return;
    };
    let before = |position: Position| located.position < position;
    if before(row.entries_from) || entry.index <= row.truncated_index {
        return;
    }
    let tail = tails.entry(*group).or_default();
    while tail.last().is_some_and(|(index, _)| *index >= entry.index) {
        tail.pop();
    }
    tail.push((entry.index, located));
}

fn sealed<W: Write>(
    path: &Path,
    directory: &Directory,
    group: GroupId,
    names: &Names,
    printer: &mut Printer<'_, W>,
) -> Result<(), Error> {
    let families = path.join("families");
    for run in directory.runs.get(&group).into_iter().flatten() {
        if printer.has_seen_enough() {
            return Ok(());
        }
        let (base, last) = (run.base, run.next.0 - 1);
        let source = format!("{} (sealed offsets {base} to {last})", families.display());
        printer.section(source, names, group);
        let mut position = 0;
        let mut failed = Ok(());
        let scanned = directory.scan_run(group, run, &mut |_, _, batches| {
            failed = printer.batches(&batches, position);
            position += batches.len() as u64;
            failed.is_ok() && !printer.has_seen_enough()
        });
        failed?;
        if let Err(error) = scanned {
            printer.fault(&error.to_string());
        }
    }
    Ok(())
}

fn check_gap<W: Write>(
    row: &GroupRow,
    group: GroupId,
    tail: &[(u64, Located)],
    names: &Names,
    printer: &mut Printer<'_, W>,
) {
    let mut expected = row.truncated_index + 1;
    for (index, _) in tail {
        if *index != expected {
            let name = names.of(group).unwrap_or_else(|| format!("group {group}"));
            let missing = index - 1;
            printer.fault(&format!(
                "{name}: entries {expected} to {missing} are missing from the log: it is damaged, or a broker that runs has moved on (then try again)"
            ));
        }
        expected = index + 1;
    }
}
