//! The real disk and the real families, until the fuse burns down: then the process dies in the middle of its work.

use bytes::Bytes;
use millrace_broker::storage::disk::{Disk, DiskFile, OsDisk};
use millrace_broker::storage::families::rocks::RocksFamilies;
use millrace_broker::storage::families::{Error, Families, Family, RowChange};
use std::io;
use std::sync::{Arc, Mutex};

/// Counts every operation that changes something on disk.
#[derive(Clone, Default)]
pub struct Fuse(Arc<Mutex<Burnt>>);

#[derive(Default)]
struct Burnt {
    operations: Vec<&'static str>,
    dies_at: Option<usize>,
    /// A write that it dies at is half done then.
    tears: bool,
}

impl Fuse {
    pub fn new(dies_at: Option<usize>, tears: bool) -> Fuse {
        Fuse(Arc::new(Mutex::new(Burnt {
            operations: Vec::new(),
            dies_at,
            tears,
        })))
    }

    pub fn operations(&self) -> Vec<&'static str> {
        self.0.lock().expect("no holder panics").operations.clone()
    }

    /// `half` of the operation is done before a death that tears.
    fn burn(&self, operation: &'static str, half: impl FnOnce() -> io::Result<()>) {
        let mut burnt = self.0.lock().expect("no holder panics");
        if burnt.dies_at == Some(burnt.operations.len()) {
            if burnt.tears {
                half().expect("half a write is possible");
            }
            std::process::abort();
        }
        burnt.operations.push(operation);
    }

    fn whole(&self, operation: &'static str) {
        self.burn(operation, || Ok(()));
    }
}

pub struct FusedDisk(pub OsDisk, pub Fuse);

struct FusedFile(Arc<dyn DiskFile>, Fuse);

impl FusedDisk {
    fn fuse(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FusedFile(file, self.1.clone()))
    }
}

impl Disk for FusedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name).map(|file| self.fuse(file))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.1
            .burn("create", || self.0.create(name, len / 2).map(drop));
        self.0.create(name, len).map(|file| self.fuse(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.1.whole("rename");
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.1.whole("remove");
        self.0.remove(name)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}

impl DiskFile for FusedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let half = &bytes[..bytes.len() / 2];
        self.1.burn("write", || self.0.write_at(half, offset));
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.whole("sync");
        self.0.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.whole("set_len");
        self.0.set_len(len)
    }
}

pub struct FusedFamilies(pub RocksFamilies, pub Fuse);

impl Families for FusedFamilies {
    fn takes_runs(&self, family: Family) -> bool {
        self.0.takes_runs(family)
    }

    fn renew(&self, family: Family) -> Result<(), Error> {
        self.1.whole("renew");
        self.0.renew(family)
    }

    fn ingest(
        &self,
        family: Family,
        rows: &mut dyn Iterator<Item = (Vec<u8>, Bytes)>,
    ) -> Result<u64, Error> {
        self.1.whole("ingest");
        self.0.ingest(family, rows)
    }

    fn put(&self, changes: &[RowChange]) -> Result<(), Error> {
        self.1.whole("put");
        self.0.put(changes)
    }

    fn flush(&self) -> Result<(), Error> {
        self.1.whole("flush");
        self.0.flush()
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.0.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
        readahead_bytes: usize,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Error> {
        self.0.scan(family, from, to, readahead_bytes, visit)
    }

    fn last_at_or_before(
        &self,
        family: Family,
        from: &[u8],
        at: &[u8],
    ) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
        self.0.last_at_or_before(family, from, at)
    }

    fn drop_range(&self, family: Family, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.1.whole("drop_range");
        self.0.drop_range(family, from, to)
    }

    fn disk_bytes(&self) -> Result<u64, Error> {
        self.0.disk_bytes()
    }
}
