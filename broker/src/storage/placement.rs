//! Where runs lie, and what to do about what lies there and should not.
//!
//! A small run may lie in any packed family, and any run in its group's record family, so that damage to one place leaves
//! another. A packed family that met damage gets no new runs; when retention, deletion and log compaction have taken the
//! last one out of it, it begins anew.

use super::error::Error;
use super::families::{Family, PACKED_FAMILIES};
use super::ids::Offset;
use super::keys;
use super::rows::Run;
use super::shard::{Group, LOCK, Shard};
use crate::raft::ports::GroupId;

impl Shard {
    /// Where a run of so many bytes goes: the packed family, or `None` for a file of its own.
    pub(super) fn place(
        &self,
        id: GroupId,
        bytes: u64,
        avoided: &[Family],
    ) -> Result<Option<u8>, Error> {
        let usable = |family: &Family| !avoided.contains(family);
        let own = usable(&keys::record_family(id)).then_some(None);
        let packed = |takes_runs: bool| {
            keys::packed_families(id).map(Some).find(|n| {
                let family = n.map_or(Family::Rows, Family::Packed);
                usable(&family) && self.families.takes_runs(family) == takes_runs
            })
        };
        let place = match bytes < self.options.packed_below_bytes {
            true => packed(true).or(own),
            false => own.or_else(|| packed(true)),
        };
        place.or_else(|| packed(false)).ok_or_else(|| Error::Group {
            group: id,
            reason: "every family is damaged where its runs could go".to_owned(),
        })
    }

    /// Looks once, after the directory was opened or something failed, for what a crash has left.
    pub(super) fn sweep(&self, group: &Group) -> Result<(), Error> {
        let mut sealed = group.sealed.lock().expect(LOCK);
        if sealed.swept {
            return Ok(());
        }
        sealed.avoided = self.drop_unnamed(group.log.id(), &sealed.runs)?;
        sealed.swept = true;
        Ok(())
    }

    /// Drops what no run speaks of: what a crash left between a file and its row, or between a row and its files. One caller
    /// at a time seals and compacts a group, so nothing there is on its way in.
    ///
    /// Returns the families in which damage hides what there is: nothing of this group may be added to them.
    pub(super) fn drop_unnamed(&self, id: GroupId, runs: &[Run]) -> Result<Vec<Family>, Error> {
        let mut avoided = Vec::new();
        for family in keys::families(id) {
            match self.drop_unnamed_in(family, id, runs) {
                Ok(()) => {}
                Err(error) if error.is_damage() => {
                    tracing::warn!(group = %id, ?family, %error, "damage beside its records, new ones go elsewhere");
                    avoided.push(family);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(avoided)
    }

    fn drop_unnamed_in(&self, family: Family, id: GroupId, runs: &[Run]) -> Result<(), Error> {
        let end = keys::record(GroupId(id.0 + 1), 0, Offset(0));
        let lies_here = |run: &&Run| keys::family(id, run) == family;
        let mut named: Vec<&Run> = runs.iter().filter(lies_here).collect();
        named.sort_by_key(|run| (run.generation, run.base));
        let named = named.into_iter().map(|run| keys::records_of(id, run));
        let mut from = keys::record(id, 0, Offset(0));
        for (base, next) in named.chain([(end.clone(), end)]) {
            if from < base && self.holds_rows(family, &from, &base)? {
                tracing::info!(group = %id, ?family, "removing sealed records that a crash left without their row");
                self.families.drop_range(family, &from, &base)?;
            }
            from = next;
        }
        Ok(())
    }

    fn holds_rows(&self, family: Family, from: &[u8], to: &[u8]) -> Result<bool, Error> {
        let mut found = false;
        self.families.scan(family, from, to, 0, &mut |_, _| {
            found = true;
            false
        })?;
        Ok(found)
    }

    /// Begins anew each packed family that met damage and that no run lies in any more.
    pub fn renew_held(&self) -> Result<(), Error> {
        for n in 0..PACKED_FAMILIES {
            let family = Family::Packed(n);
            if self.families.takes_runs(family) {
                continue;
            }
            let _placing = self.placing.write().expect(LOCK);
            // Rows that a crash could bring back would name what is gone.
            self.families.flush()?;
            if !self.is_named(n)? {
                self.families.renew(family)?;
                tracing::info!(
                    ?family,
                    "begun anew, nothing of what was damaged is needed any more"
                );
            }
        }
        Ok(())
    }

    /// Whether a run lies in a packed family, by the rows themselves: those of damaged groups are not in memory.
    fn is_named(&self, packed: u8) -> Result<bool, Error> {
        let (from, to) = keys::runs();
        let mut named = false;
        self.families
            .scan(Family::Rows, &from, &to, 0, &mut |_, row| {
                // Who knows what an unreadable row names.
                named = Run::decode(row).map_or(true, |run| run.packed == Some(packed));
                !named
            })?;
        Ok(named)
    }
}
