//! The few things the store asks of a file system, so that tests can put a failing one in its place.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::open_error::OpenError;

pub(crate) mod dry;
#[cfg(any(test, feature = "failpoints"))]
#[cfg_attr(
    not(feature = "failpoints"),
    allow(unreachable_pub, dead_code, reason = "the robustness tests use all of it, from outside")
)]
pub mod sim;

const LOCK: &str = "LOCK";
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// A folder of files. Names are relative to it.
pub(crate) trait Disk: Send + Sync + 'static {
    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
    /// Names and sizes.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// An empty file, instead of what was there.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// A file that is there, to read and write.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One open file.
pub(crate) trait DiskFile: Send {
    /// Fills as much of the buffer as the file has.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Makes the content and the length durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Has the next read come from the disk: after a failed sync in an earlier life, the cache may
    /// hold what the disk does not.
    fn forget_cache(&self) -> io::Result<()>;
}

/// A real folder, locked for this process as long as the value lives.
pub(crate) struct Folder {
    dir: PathBuf,
    handle: File,
    lock: File,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Folder, OpenError> {
        let at = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let missing: Vec<&Path> = missing.collect();
        let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
        made.map_err(at("create", dir))?;
        // Every new name is made durable in the folder that holds it.
        for parent in missing.iter().filter_map(|dir| dir.parent()) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            sync_dir(parent).map_err(at("sync", parent))?;
        }
        let path = dir.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(at("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).map_err(at("read", &path))?;
                return Err(OpenError::Locked { dir: dir.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(at("lock", &path)(source)),
        }
        sign(&mut lock).map_err(at("write", &path))?;
        let handle = File::open(dir).map_err(at("open", dir))?;
        Ok(Folder { dir: dir.to_owned(), handle, lock })
    }
}

impl Drop for Folder {
    /// Closing alone would leave it locked while a child that is just being started still has the
    /// file open.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, dir = %self.dir.display(), "the store's folder could not be unlocked");
        }
    }
}

/// Names and sizes.
fn list(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            files.push((name, entry.metadata()?.len()));
        }
    }
    Ok(files)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Leaves our process id in the lock file, for the message of whoever comes second.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

impl Disk for Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        list(&self.dir)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        let file = options.open(self.path(name))?;
        // The mode above counts only for a file that was not there, and is subject to the umask.
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn forget_cache(&self) -> io::Result<()> {
        let advice = nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        nix::fcntl::posix_fadvise(self, 0, 0, advice).map_err(io::Error::from)
    }
}
