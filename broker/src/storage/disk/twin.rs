//! The in-memory twin of a disk, which remembers what was not synced and loses it as a power cut would.
//!
//! Deterministic: it holds no clock and no randomness; a crash asks its caller which sectors survive.

use super::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

/// What becomes of the sectors that were written and not synced.
pub enum Unsynced<'a> {
    Kept,
    Lost,
    /// Each sector holds one of the versions it had since its last sync: the function picks a number below its argument.
    Torn(&'a mut dyn FnMut(usize) -> usize),
}

/// A handle to the disk; clones are the same disk. After [`TwinDisk::crash`] or [`TwinDisk::kill`] only the handle that it returned works.
#[derive(Clone)]
pub struct TwinDisk {
    state: Arc<Mutex<State>>,
    boot: u64,
}

struct State {
    boot: u64,
    files: BTreeMap<String, Arc<Mutex<Contents>>>,
    /// Operations that change something, since the last crash.
    ops: u64,
    fail_after_ops: Option<u64>,
    fail_writes: bool,
    fail_syncs: bool,
    capacity: Option<u64>,
}

#[derive(Default)]
struct Contents {
    /// What readers see.
    data: Vec<u8>,
    /// Older contents of each sector that was written since its last sync, oldest (the durable one) first.
    unsynced: BTreeMap<usize, Sector>,
}

struct Sector {
    versions: Vec<Vec<u8>>,
    /// Its sync failed: like Linux, the page counts as clean from then on, and later syncs do not write it.
    forgotten: bool,
}

impl Default for TwinDisk {
    fn default() -> Self {
        TwinDisk::new()
    }
}

impl TwinDisk {
    pub fn new() -> TwinDisk {
        let state = State {
            boot: 0,
            files: BTreeMap::new(),
            ops: 0,
            fail_after_ops: None,
            fail_writes: false,
            fail_syncs: false,
            capacity: None,
        };
        TwinDisk {
            state: Arc::new(Mutex::new(state)),
            boot: 0,
        }
    }

    /// The power goes off and on. All earlier handles and files fail from now on, all injected faults are gone.
    pub fn crash(&self, mut unsynced: Unsynced<'_>) -> TwinDisk {
        let mut state = lock(&self.state);
        for file in state.files.values_mut() {
            let mut contents = std::mem::take(&mut *lock(file));
            contents.settle(&mut unsynced);
            *file = Arc::new(Mutex::new(contents));
        }
        state.ops = 0;
        state.fail_after_ops = None;
        state.fail_writes = false;
        state.fail_syncs = false;
        self.reboot(&mut state)
    }

    /// The process dies and the machine lives: what was not synced is still readable, and still not durable. All earlier
    /// handles and files fail from now on; injected faults stay.
    pub fn kill(&self) -> TwinDisk {
        let mut state = lock(&self.state);
        for file in state.files.values_mut() {
            let contents = std::mem::take(&mut *lock(file));
            *file = Arc::new(Mutex::new(contents));
        }
        self.reboot(&mut state)
    }

    fn reboot(&self, state: &mut State) -> TwinDisk {
        state.boot += 1;
        TwinDisk {
            state: Arc::clone(&self.state),
            boot: state.boot,
        }
    }

    /// Another disk with the same contents, all of it durable, and no faults.
    pub fn fork(&self) -> TwinDisk {
        let fork = TwinDisk::new();
        let state = lock(&self.state);
        for (name, file) in &state.files {
            let contents = Contents {
                data: lock(file).data.clone(),
                unsynced: BTreeMap::new(),
            };
            let contents = Arc::new(Mutex::new(contents));
            lock(&fork.state).files.insert(name.clone(), contents);
        }
        drop(state);
        fork
    }

    /// How many operations changed something since the last crash, failed ones included.
    pub fn ops(&self) -> u64 {
        lock(&self.state).ops
    }

    /// Every operation (reads too) behind the `ops`-th change since the last crash fails. The first one that fails is cut
    /// short: a write may have reached some sectors, a created file has its name and no bytes.
    pub fn fail_after_ops(&self, ops: u64) {
        lock(&self.state).fail_after_ops = Some(ops);
    }

    /// Writes fail from now on, after part of them may have reached the disk.
    pub fn fail_writes(&self, fail: bool) {
        lock(&self.state).fail_writes = fail;
    }

    /// Syncs fail from now on. Like on Linux, a later sync that succeeds does not make up for the one that failed.
    pub fn fail_syncs(&self, fail: bool) {
        lock(&self.state).fail_syncs = fail;
    }

    /// Files of more than `bytes` in sum are refused with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.state).capacity = bytes;
    }

    /// Damages a file where it lies. Panics if there is no such byte: a test aimed wrong.
    pub fn flip_bit(&self, name: &str, offset: u64, bit: u8) {
        let state = lock(&self.state);
        let file = state.files.get(name).expect("the file to damage exists");
        let mut contents = lock(file);
        let offset = offset as usize;
        contents.data[offset] ^= 1 << bit;
        if let Some(sector) = contents.unsynced.get_mut(&(offset / SECTOR)) {
            for version in &mut sector.versions {
                version[offset % SECTOR] ^= 1 << bit;
            }
        }
    }

    /// The bytes of a file as readers see them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        state.files.get(name).map(|file| lock(file).data.clone())
    }

    fn running(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if state.boot != self.boot {
            return Err(io::Error::other("the disk was restarted since"));
        }
        if state.fail_after_ops.is_some_and(|n| state.ops > n) {
            return Err(power_cut());
        }
        Ok(state)
    }

    /// Counts a change. The second value says that it is the one during which the power goes off.
    fn change(&self) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let mut state = self.running()?;
        state.ops += 1;
        let cut = state.fail_after_ops.is_some_and(|n| state.ops > n);
        Ok((state, cut))
    }

    fn file(&self, contents: &Arc<Mutex<Contents>>) -> Arc<dyn DiskFile> {
        Arc::new(TwinFile {
            disk: self.clone(),
            contents: Arc::clone(contents),
        })
    }
}

impl Disk for TwinDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.running()?.files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.running()?;
        let contents = state.files.get(name).ok_or_else(|| missing(name))?;
        Ok(self.file(contents))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let (mut state, cut) = self.change()?;
        if state.files.contains_key(name) {
            let message = format!("{name} exists");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        if len > state.free_bytes() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        let contents = Contents {
            data: vec![0; if cut { 0 } else { len as usize }],
            unsynced: BTreeMap::new(),
        };
        let contents = Arc::new(Mutex::new(contents));
        state.files.insert(name.to_owned(), Arc::clone(&contents));
        if cut {
            return Err(power_cut());
        }
        Ok(self.file(&contents))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        if cut {
            return Err(power_cut());
        }
        let contents = state.files.remove(from).ok_or_else(|| missing(from))?;
        state.files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut state, cut) = self.change()?;
        if cut {
            return Err(power_cut());
        }
        state.files.remove(name).ok_or_else(|| missing(name))?;
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.running()?.free_bytes())
    }
}

impl State {
    fn free_bytes(&self) -> u64 {
        let used: u64 = self.files.values().map(|f| lock(f).data.len() as u64).sum();
        self.capacity
            .map_or(u64::MAX, |all| all.saturating_sub(used))
    }
}

struct TwinFile {
    disk: TwinDisk,
    contents: Arc<Mutex<Contents>>,
}

impl DiskFile for TwinFile {
    fn len(&self) -> io::Result<u64> {
        let _running = self.disk.running()?;
        Ok(lock(&self.contents).data.len() as u64)
    }

    /// Unlike a real file, a twin does not grow by writing: nobody should rely on space that was not preallocated.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (state, cut) = self.disk.change()?;
        let mut contents = lock(&self.contents);
        let range = contents.range(bytes.len(), offset, io::ErrorKind::InvalidInput)?;
        contents.write(bytes, range.start);
        match cut {
            true => Err(power_cut()),
            false if state.fail_writes => Err(io::Error::other("the write failed")),
            false => Ok(()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let _running = self.disk.running()?;
        let contents = lock(&self.contents);
        let range = contents.range(buffer.len(), offset, io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(&contents.data[range]);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (state, cut) = self.disk.change()?;
        if cut {
            return Err(power_cut());
        }
        let mut contents = lock(&self.contents);
        if state.fail_syncs {
            contents
                .unsynced
                .values_mut()
                .for_each(|s| s.forgotten = true);
            return Err(io::Error::other("the sync failed"));
        }
        contents.unsynced.retain(|_, sector| sector.forgotten);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (state, cut) = self.disk.change()?;
        if cut {
            return Err(power_cut());
        }
        let free = state.free_bytes();
        let mut contents = lock(&self.contents);
        if len > (contents.data.len() as u64).saturating_add(free) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        contents.set_len(len as usize);
        Ok(())
    }
}

impl Contents {
    fn range(
        &self,
        len: usize,
        offset: u64,
        kind: io::ErrorKind,
    ) -> io::Result<std::ops::Range<usize>> {
        let end = offset.checked_add(len as u64);
        match end.filter(|end| *end <= self.data.len() as u64) {
            Some(end) => Ok(offset as usize..end as usize),
            None => Err(io::Error::new(kind, "behind the end of the file")),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        for number in offset / SECTOR..=(offset + bytes.len() - 1) / SECTOR {
            let now = sector(&self.data, number).to_vec();
            let sector = self.unsynced.entry(number).or_insert_with(|| Sector {
                versions: Vec::new(),
                forgotten: false,
            });
            sector.versions.push(now);
            sector.forgotten = false;
        }
        self.data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn set_len(&mut self, len: usize) {
        self.data.resize(len, 0);
        self.unsynced.retain(|number, _| number * SECTOR < len);
        for (number, sector) in &mut self.unsynced {
            let size = (len - number * SECTOR).min(SECTOR);
            sector.versions.iter_mut().for_each(|v| v.resize(size, 0));
        }
    }

    fn settle(&mut self, unsynced: &mut Unsynced<'_>) {
        for (number, mut sector) in std::mem::take(&mut self.unsynced) {
            let kept = sector.versions.len();
            let chosen = match unsynced {
                Unsynced::Kept if sector.forgotten => 0,
                Unsynced::Kept => kept,
                Unsynced::Lost => 0,
                Unsynced::Torn(pick) => pick(kept + 1),
            };
            if chosen < kept {
                let version = sector.versions.swap_remove(chosen);
                let start = number * SECTOR;
                self.data[start..start + version.len()].copy_from_slice(&version);
            }
        }
    }
}

fn sector(data: &[u8], number: usize) -> &[u8] {
    let start = number * SECTOR;
    &data[start..data.len().min(start + SECTOR)]
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} does not exist"))
}

fn power_cut() -> io::Error {
    io::Error::other("the power is off")
}

/// A panic while the lock was held is a failed test already; the state itself is never half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(disk: &TwinDisk, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        disk.open("a").unwrap().read_at(&mut bytes, offset).unwrap();
        bytes
    }

    fn disk() -> (TwinDisk, Arc<dyn DiskFile>) {
        let disk = TwinDisk::new();
        let file = disk.create("a", 2048).unwrap();
        (disk, file)
    }

    #[test]
    fn only_what_was_synced_survives_a_crash() {
        let (disk, file) = disk();
        file.write_at(&[1; 600], 0).unwrap();
        file.sync().unwrap();
        file.write_at(&[2; 600], 0).unwrap();
        assert_eq!(read(&disk, 0, 600), [2; 600]);
        let disk = disk.crash(Unsynced::Lost);
        assert_eq!(read(&disk, 0, 600), [1; 600]);
        assert!(file.write_at(&[1], 0).is_err());
    }

    #[test]
    fn a_torn_write_keeps_any_of_its_sectors() {
        let (disk, file) = disk();
        file.write_at(&[1; 2048], 0).unwrap();
        file.write_at(&[2; 512], 0).unwrap();
        let mut picks = [1, 0, 1, 0].into_iter();
        let disk = disk.crash(Unsynced::Torn(&mut |n| picks.next().unwrap() % n));
        let sectors: Vec<u8> = (0..4).map(|i| read(&disk, i * 512, 1)[0]).collect();
        assert_eq!(sectors, [1, 0, 1, 0]);
    }

    #[test]
    fn a_killed_process_leaves_its_writes_readable_and_volatile() {
        let (disk, file) = disk();
        file.write_at(&[1; 8], 0).unwrap();
        let disk = disk.kill();
        assert_eq!(read(&disk, 0, 8), [1; 8]);
        let disk = disk.crash(Unsynced::Lost);
        assert_eq!(read(&disk, 0, 8), [0; 8]);
    }

    #[test]
    fn a_sync_after_a_failed_one_does_not_make_up_for_it() {
        let (disk, file) = disk();
        file.write_at(&[1; 8], 0).unwrap();
        disk.fail_syncs(true);
        assert!(file.sync().is_err());
        disk.fail_syncs(false);
        file.sync().unwrap();
        assert_eq!(read(&disk.crash(Unsynced::Lost), 0, 8), [0; 8]);
    }

    #[test]
    fn the_power_goes_off_after_the_given_change() {
        let (disk, file) = disk();
        disk.fail_after_ops(2);
        file.write_at(&[1; 8], 0).unwrap();
        assert!(disk.create("b", 512).is_err());
        assert!(disk.list().is_err());
        let disk = disk.crash(Unsynced::Kept);
        assert_eq!(disk.list().unwrap(), ["a", "b"]);
        assert_eq!(disk.contents("b").unwrap(), [0u8; 0]);
        assert_eq!(read(&disk, 0, 8), [1; 8]);
    }

    #[test]
    fn a_full_disk_refuses_files_and_not_writes() {
        let (disk, file) = disk();
        disk.set_capacity(Some(2048));
        assert_eq!(disk.free_bytes().unwrap(), 0);
        let error = disk.create("b", 1).err().map(|e| e.kind());
        assert_eq!(error, Some(io::ErrorKind::StorageFull));
        file.write_at(&[1; 8], 2040).unwrap();
        assert!(file.write_at(&[1; 8], 2041).is_err());
        file.set_len(1024).unwrap();
        disk.create("b", 1).unwrap();
    }

    #[test]
    fn a_cut_is_durable_and_what_is_left_of_a_sector_stays_unsynced() {
        let (disk, file) = disk();
        file.write_at(&[1; 1024], 0).unwrap();
        file.set_len(700).unwrap();
        let disk = disk.crash(Unsynced::Lost);
        assert_eq!(disk.contents("a").unwrap(), [0; 700]);
    }

    #[test]
    fn a_removed_file_stays_readable_where_it_is_open() {
        let (disk, file) = disk();
        disk.remove("a").unwrap();
        file.read_at(&mut [0; 8], 0).unwrap();
        assert!(disk.open("a").is_err());
    }
}
