//! A file system in memory that forgets what was not synced, tears it, fills up and fails.
//!
//! A file's unsynced writes are kept beside its durable content. A power cut keeps of each write
//! any subset of its sectors, and of the folder's unsynced operations any prefix.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// What a disk writes as a whole.
const SECTOR: usize = 64;

#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The folder after each operation that was not synced yet.
    unsynced_names: Vec<BTreeMap<String, usize>>,
    faults: Faults,
    observer: Option<Observer>,
}

/// Is told the bytes of all files after everything that makes them more.
type Observer = Arc<dyn Fn(u64) + Send + Sync>;

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The disk is gone after this many more operations.
    pub dies_after: Option<u64>,
    /// Bytes that can still be written.
    pub space: Option<u64>,
    /// Syncs of files fail.
    pub sync_fails: bool,
    /// Writes to files fail, with nothing written.
    pub write_fails: bool,
    /// Syncs of files take this long.
    pub sync_takes: Option<Duration>,
    /// And those of files that have no name of their own yet, as large ones do that are written beside the log.
    pub temporary_takes: Option<Duration>,
}

#[derive(Clone, Default)]
struct SimFile {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl SimDisk {
    pub fn set(&self, faults: Faults) {
        self.inner.lock().faults = faults;
    }

    /// Tells the bytes of all files after everything that makes them more.
    pub fn observe(&self, observer: impl Fn(u64) + Send + Sync + 'static) {
        self.inner.lock().observer = Some(Arc::new(observer));
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.inner.lock().bytes()
    }

    /// The disk as it is found after a power cut. What is lost is decided by numbers, each below the one asked with.
    pub fn after_power_cut(&self, mut roll: impl FnMut(u64) -> u64) -> SimDisk {
        let inner = self.inner.lock();
        let kept = roll(inner.unsynced_names.len() as u64 + 1) as usize;
        let names = match kept {
            0 => &inner.durable_names,
            kept => &inner.unsynced_names[kept - 1],
        };
        let files = inner.files.iter().map(|file| file.after_power_cut(&mut roll)).collect();
        SimDisk::from(names.clone(), files)
    }

    /// The disk as it is found after the process was killed: the kernel kept everything.
    pub fn after_kill(&self) -> SimDisk {
        let inner = self.inner.lock();
        let mut disk = SimDisk::from(inner.names.clone(), inner.files.clone());
        let new = Arc::get_mut(&mut disk.inner).expect("nobody else has it yet").get_mut();
        new.durable_names = inner.durable_names.clone();
        new.unsynced_names = inner.unsynced_names.clone();
        disk
    }

    fn from(names: BTreeMap<String, usize>, files: Vec<SimFile>) -> SimDisk {
        let durable_names = names.clone();
        let inner = Inner { files, names, durable_names, ..Inner::default() };
        SimDisk { inner: Arc::new(Mutex::new(inner)) }
    }
}

impl SimFile {
    fn after_power_cut(&self, roll: &mut impl FnMut(u64) -> u64) -> SimFile {
        let mut content = self.durable.clone();
        // Most, some or none of the sectors reached the disk.
        let odds = roll(5);
        for change in &self.unsynced {
            match change {
                Change::Write(offset, bytes) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if roll(4) < odds {
                            write(&mut content, *offset + (index * SECTOR) as u64, sector);
                        }
                    }
                }
                Change::Truncate(length) => {
                    if roll(4) < odds {
                        content.resize(*length as usize, 0);
                    }
                }
            }
        }
        SimFile { durable: content.clone(), content, unsynced: Vec::new() }
    }
}

fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset as usize..end].copy_from_slice(bytes);
}

impl Inner {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.faults.dies_after {
            Some(0) => return Err(io::Error::other("the disk is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    /// How long a sync of this file takes.
    fn takes(&self, number: usize) -> Option<Duration> {
        let is_temporary = || self.names.iter().any(|(name, other)| *other == number && name.ends_with(".tmp"));
        self.faults.temporary_takes.filter(|_| is_temporary()).or(self.faults.sync_takes)
    }

    fn number(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn bytes(&self) -> u64 {
        self.names.values().map(|number| self.files[*number].content.len() as u64).sum()
    }

    fn grown(&self) {
        if let Some(observer) = &self.observer {
            observer(self.bytes());
        }
    }

    fn renamed(&mut self) {
        self.unsynced_names.push(self.names.clone());
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let inner = self.inner.lock();
        let size = |number: usize| inner.files[number].content.len() as u64;
        Ok(inner.names.iter().map(|(name, number)| (name.clone(), size(*number))).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner.lock();
        inner.step()?;
        let number = inner.files.len();
        inner.files.push(SimFile::default());
        inner.names.insert(name.to_owned(), number);
        inner.renamed();
        Ok(Box::new(Handle { disk: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let number = self.inner.lock().number(name)?;
        Ok(Box::new(Handle { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        let number = inner.number(from)?;
        inner.names.remove(from);
        inner.names.insert(to.to_owned(), number);
        inner.renamed();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        inner.number(name)?;
        inner.names.remove(name);
        inner.renamed();
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.step()?;
        inner.durable_names = inner.names.clone();
        inner.unsynced_names.clear();
        Ok(())
    }
}

struct Handle {
    disk: SimDisk,
    number: usize,
}

impl DiskFile for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.inner.lock();
        let content = &inner.files[self.number].content;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let count = buffer.len().min(rest.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.inner.lock();
        inner.step()?;
        if inner.faults.write_fails {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let space = inner.faults.space.unwrap_or(u64::MAX);
        let fits = (bytes.len() as u64).min(space) as usize;
        if let Some(space) = &mut inner.faults.space {
            *space -= fits as u64;
        }
        let file = &mut inner.files[self.number];
        write(&mut file.content, offset, &bytes[..fits]);
        file.unsynced.push(Change::Write(offset, bytes[..fits].to_vec()));
        inner.grown();
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.disk.inner.lock();
        inner.step()?;
        let file = &mut inner.files[self.number];
        file.content.resize(length as usize, 0);
        file.unsynced.push(Change::Truncate(length));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let takes = self.disk.inner.lock().takes(self.number);
        if let Some(takes) = takes {
            std::thread::sleep(takes);
        }
        let mut inner = self.disk.inner.lock();
        inner.step()?;
        if inner.faults.sync_fails {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let file = &mut inner.files[self.number];
        file.durable = file.content.clone();
        file.unsynced.clear();
        Ok(())
    }

    fn forget_cache(&self) -> io::Result<()> {
        Ok(())
    }
}
