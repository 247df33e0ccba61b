//! A folder that is read and never changed: what is written to it is forgotten.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{Disk, DiskFile, list};

/// Not locked: whoever has the store open goes on.
pub(crate) struct DryDisk {
    dir: PathBuf,
}

impl DryDisk {
    pub(crate) fn new(dir: &Path) -> DryDisk {
        DryDisk { dir: dir.to_owned() }
    }

    /// The sizes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.list().map_or(0, |files| files.iter().map(|(_, bytes)| bytes).sum())
    }
}

impl Disk for DryDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        list(&self.dir)
    }

    fn create(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(DryFile(None)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(DryFile(Some(File::open(self.path(name))?))))
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of the folder, or one that was never made.
struct DryFile(Option<File>);

impl DiskFile for DryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.as_ref().map_or(Ok(0), |file| DiskFile::read_at(file, buffer, offset))
    }

    fn write_at(&mut self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn forget_cache(&self) -> io::Result<()> {
        Ok(())
    }
}
