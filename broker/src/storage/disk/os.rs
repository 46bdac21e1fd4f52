//! The real disk: one directory of a local file system.
//!
//! A name is durable only when the directory itself was synced, so every change of a name ends with that.

use super::{Disk, DiskFile};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Written at once where the file system cannot preallocate.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

pub struct OsDisk {
    path: PathBuf,
    directory: File,
}

impl OsDisk {
    /// Opens `path`, making the directory (not its parents) if it is missing.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<OsDisk> {
        let path = path.into();
        match fs::create_dir(&path) {
            Ok(()) => {
                let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
                File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let directory = File::open(&path)?;
        Ok(OsDisk { path, directory })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Disk for OsDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        let made = preallocate(&file, len)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.directory.sync_all());
        if let Err(error) = made {
            // The error that matters is the first one; whoever lists the directory copes with a leftover.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.directory.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))?;
        self.directory.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = fstatvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn preallocate(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let mut done = 0;
            while done < len {
                let step = (len - done).min(ZEROS.len() as u64);
                file.write_all_at(&ZEROS[..step as usize], done)?;
                done += step;
            }
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_created_file_is_preallocated_with_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(dir.path().join("log")).unwrap();
        let file = disk.create("a", 10_000).unwrap();
        assert_eq!(file.len().unwrap(), 10_000);
        let mut bytes = vec![1; 10_000];
        file.read_at(&mut bytes, 0).unwrap();
        assert!(bytes.iter().all(|b| *b == 0));
        let error = disk.create("a", 1).err().map(|e| e.kind());
        assert_eq!(error, Some(io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn names_follow_rename_and_remove() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        disk.create("a", 0).unwrap().set_len(8).unwrap();
        disk.create("b", 0).unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        assert_eq!(disk.open("b").unwrap().len().unwrap(), 8);
        disk.remove("b").unwrap();
        assert!(disk.list().unwrap().is_empty());
        assert!(disk.free_bytes().unwrap() > 0);
    }

    #[test]
    fn reading_past_the_end_is_an_unexpected_eof() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(dir.path()).unwrap();
        let file = disk.create("a", 4).unwrap();
        file.write_at(b"mill", 0).unwrap();
        file.sync().unwrap();
        let error = file.read_at(&mut [0; 3], 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_larger_than_the_disk_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsDisk::open(dir.path()).unwrap();
        // More than a file may have: a file system asked for more than it has left may first take all of that from everybody else.
        let too_much = 1 << 62;
        assert!(disk.create("a", too_much).is_err());
        assert!(disk.list().unwrap().is_empty());
    }
}
