//! Records in bulk: what a snapshot names goes to the follower before the snapshot does.

use crate::network::Flight;
use crate::oracle::{Checked, violated};
use crate::world::World;
use millrace_broker::raft::ports::GroupId;
use millrace_broker::storage::Error;
use millrace_broker::storage::entry::SnapshotHeader;
use millrace_broker::storage::ids::Offset;
use millrace_broker::storage::import::Import;
use millrace_broker::storage::shard::Shard;
use millrace_wire::BatchHeader;

impl World {
    /// Before a snapshot arrives, the records it stands for do. False when that was not possible.
    pub fn ship(&mut self, flight: &Flight) -> Checked<bool> {
        let (from, to, group) = (flight.from, flight.to, flight.group);
        let is_there = self.brokers[from].is_up()
            && self.brokers[from].local.get(&group) == Some(&flight.message.from);
        let snapshot = flight.message.get_snapshot();
        let Some(header) = SnapshotHeader::decode(&snapshot.data) else {
            return violated("a snapshot has no header");
        };
        if !is_there {
            return Ok(false);
        }
        self.note(format!(
            "group {group}: snapshot {} ({header:?}) from broker {from} to {to}",
            snapshot.get_metadata().index
        ));
        let source = self.brokers[from].running().shard.clone();
        let target = self.brokers[to].running().shard.clone();
        let covered = match target.import_from(group, &header) {
            Ok(Some(covered)) => covered,
            Ok(None) => return Ok(true),
            Err(error) => return self.failed(to, "look for runs", &error).map(|()| false),
        };
        let imports = match collect(&source, group, covered, header.next_offset) {
            Ok(Some(imports)) => imports,
            // The log start has moved since the snapshot was taken: the next one will know.
            Ok(None) => return Ok(false),
            Err(error) => return self.failed(from, "read runs", &error).map(|()| false),
        };
        for import in imports {
            if let Err(error) = target.import_run(group, import) {
                return self.failed(to, "import", &error).map(|()| false);
            }
        }
        match target.import_from(group, &header) {
            Ok(None) => Ok(true),
            other => violated(format!(
                "group {group}: after the import {other:?} is missing"
            )),
        }
    }
}

/// Runs and tail of a leader from `from` on, up to `upto` or beyond. `None` when something between was deleted.
fn collect(
    shard: &Shard,
    group: GroupId,
    from: Offset,
    upto: Offset,
) -> Result<Option<Vec<Import>>, Error> {
    let mut covered = from;
    let mut imports = Vec::new();
    let (runs, _) = shard.sealed_runs(group)?;
    for run in runs.iter().filter(|run| run.next > from) {
        if run.base > covered {
            return Ok(None);
        }
        let mut entries = Vec::new();
        shard.scan_run(group, run, &mut |base, data| {
            entries.push((base, bytes::Bytes::copy_from_slice(data)));
            true
        })?;
        covered = run.next;
        imports.push(Import {
            base: run.base,
            next: run.next,
            entries,
        });
    }
    let tail_start = shard.start(group)?.log.tail_start();
    if covered < upto {
        if covered < tail_start {
            return Ok(None);
        }
        let range = millrace_broker::storage::read::Range {
            from: covered,
            upto,
            max_bytes: u64::MAX,
        };
        let entries: Vec<(Offset, bytes::Bytes)> = shard
            .read(group, range)?
            .chunks
            .into_iter()
            .filter_map(|chunk| {
                let header = BatchHeader::decode(&chunk).ok()?;
                Some((Offset(header.base_offset), chunk))
            })
            .collect();
        // A log start may lie inside of an entry.
        let base = entries
            .first()
            .map_or(covered, |(base, _)| covered.min(*base));
        imports.push(Import {
            base,
            next: upto,
            entries,
        });
    }
    Ok(Some(imports))
}
