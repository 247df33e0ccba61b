//! Saving, checking and restoring a store.
//!
//! A saved store is a checkpoint in a file of its own: see `local/checkpoint.rs` for the format. It holds the keys at
//! one revision and no history. Values are in it as they lie on disk: encrypted stays encrypted, all the way.
//!  Restoring it makes a new folder whose revision is far beyond every number that was
//! given out after it was saved: no client sees time go back, and whoever watches from before is told to read anew.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::StoreConfig,
    local::{
        checkpoint::{self, BadCheckpoint, Decoded},
        disk::{DiskFile, Folder, dry::DryDisk, sync_dir},
        log::{Log, LogError},
        pace::Pace,
        record::Mark,
        recovery::{Recovery, recover},
    },
    open_error::OpenError,
    revision::Revision,
    seal::Seal,
    snapshot::Snapshot,
    state::Keys,
};

/// How many revisions a restored store skips: more than any store gives out between two backups.
pub const RESTORE_SKIPS: u64 = 1_000_000_000;

/// What a saved store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub revision: Revision,
    pub keys: usize,
    /// Of the file.
    pub bytes: u64,
}

/// What a store's files hold, read without changing them.
#[derive(Clone)]
pub struct Verified {
    pub recovery: Recovery,
    pub snapshot: Snapshot,
    /// The sizes of all files.
    pub bytes: u64,
}

/// Why a file could not be checked or restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged at byte {offset}, or is no snapshot of a store", path.display())]
    Damaged { path: PathBuf, offset: u64 },
    #[error("{} has format {found}, which this version does not know; use the newer version", path.display())]
    Format { path: PathBuf, found: u32 },
    #[error(
        "{} is there already; a restore overwrites nothing: move it away, or choose another data folder",
        path.display()
    )]
    Exists { path: PathBuf },
    #[error("cannot begin the restored store: {0}")]
    Open(#[source] Box<OpenError>),
}

impl Verified {
    /// Writes what was read, as [`Savable::save`](crate::Savable::save) does.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<Contents> {
        save(&self.snapshot, None, out)
    }
}

pub(crate) fn save(snapshot: &Snapshot, seal: Option<&dyn Seal>, out: &mut dyn io::Write) -> io::Result<Contents> {
    let (revision, keys) = (snapshot.revision(), snapshot.keys());
    let bytes = checkpoint::encode(out, revision, keys, seal, &Pace::hurried())?;
    let bytes = bytes.expect("only who is told to stop writes nothing");
    out.flush()?;
    Ok(Contents { revision, keys: keys.len(), bytes })
}

/// Whether a file begins as a saved store does; the rest is not looked at.
pub fn is_snapshot(path: &Path) -> bool {
    let mut begin = [0; checkpoint::MAGIC.len()];
    let read = File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut begin));
    read.is_ok() && begin == *checkpoint::MAGIC
}

/// Reads a saved store to its end and compares all checksums.
pub fn check(path: &Path) -> Result<Contents, BackupError> {
    let Decoded { revision, keys, bytes } = read(path)?;
    Ok(Contents { revision, keys: keys.len(), bytes })
}

/// Makes the store in `dir`, which must not exist, from a saved one. Killed in between, it leaves no `dir`.
pub fn restore(path: &Path, dir: &Path) -> Result<Contents, BackupError> {
    restore_past(path, dir, Revision::default())
}

/// The same where numbers up to `given_out` are known to somebody, whatever the saved store counted.
pub fn restore_past(path: &Path, dir: &Path, given_out: Revision) -> Result<Contents, BackupError> {
    let exists = || BackupError::Exists { path: dir.to_owned() };
    if dir.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let Decoded { revision, keys, .. } = read(path)?;
    let revision = beyond(revision, given_out);
    let mut unfinished = dir.as_os_str().to_owned();
    unfinished.push(".restoring");
    let unfinished = PathBuf::from(unfinished);
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { action, path, source }
    };
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(failed("remove", &unfinished))?;
    }
    let bytes = fill(&unfinished, revision, &keys)?;
    std::fs::rename(&unfinished, dir).map_err(failed("rename", &unfinished))?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_dir(parent).map_err(failed("sync", parent))?;
    }
    Ok(Contents { revision, keys: keys.len(), bytes })
}

/// The number to go on from. What is below the skipped ones stays as great as it ever was, so that who can only count on
/// from there, as etcd, gives out no number twice either.
fn beyond(saved: Revision, given_out: Revision) -> Revision {
    let newest = saved.max(given_out).0;
    let counted = |revision: Revision| revision.0 % RESTORE_SKIPS;
    Revision((newest / RESTORE_SKIPS + 1) * RESTORE_SKIPS + counted(saved).max(counted(given_out)))
}

/// A store that was closed at this revision.
fn fill(dir: &Path, revision: Revision, keys: &Keys) -> Result<u64, BackupError> {
    let failed = |source| BackupError::Io { action: "write", path: dir.to_owned(), source };
    let folder = Arc::new(Folder::open(dir).map_err(|error| BackupError::Open(Box::new(error)))?);
    let bytes = checkpoint::write(&*folder, revision, keys, None, &Pace::hurried()).map_err(failed)?;
    let limit = StoreConfig::new(dir).segment_bytes;
    let mut log = Log::begin(folder, revision, Vec::new(), limit).map_err(failed)?;
    log.mark(Mark::Closed, revision).map_err(|error| match error {
        LogError::NoSpace => failed(io::ErrorKind::StorageFull.into()),
        LogError::Poisoned(source) => failed(source),
    })?;
    Ok(bytes.unwrap_or_default())
}

fn read(path: &Path) -> Result<Decoded, BackupError> {
    let failed = |source| BackupError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let file: &dyn DiskFile = &file;
    match checkpoint::decode(file, None) {
        Ok(decoded) if decoded.bytes == length => Ok(decoded),
        Ok(Decoded { bytes: offset, .. }) | Err(BadCheckpoint::Damaged(offset)) => {
            Err(BackupError::Damaged { path: path.to_owned(), offset })
        }
        Err(BadCheckpoint::Format(found)) => Err(BackupError::Format { path: path.to_owned(), found }),
        Err(BadCheckpoint::Io(source)) => Err(failed(source)),
        Err(BadCheckpoint::Sealed(..)) => unreachable!("nothing is opened without a seal"),
    }
}

/// Reads the files of a store as opening it would, and changes nothing. The store may be in use: what is being
/// written looks like a torn tail, and a file that a checkpoint replaced meanwhile is looked for again.
pub fn verify(dir: &Path) -> Result<Verified, OpenError> {
    /// A checkpoint may finish under the reader; hardly twice.
    const ATTEMPTS: usize = 3;
    let mut attempt = 1;
    loop {
        let disk = Arc::new(DryDisk::new(dir));
        match recover(disk.clone(), &StoreConfig::new(dir)) {
            Ok(recovered) => {
                let state = recovered.state;
                return Ok(Verified {
                    snapshot: Snapshot::new(recovered.report.found, state.keys),
                    recovery: recovered.report,
                    bytes: disk.bytes(),
                });
            }
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_store_goes_on_beyond_all_that_is_known() {
        for (saved, given_out, expected) in [
            (7, 0, 1_000_000_007),
            (1_000_000_007, 0, 2_000_000_007),
            (60, 1_000_002_300, 2_000_002_300),
            (5000, 1_000_002_300, 2_000_005_000),
            (5000, 2300, 1_000_005_000),
        ] {
            assert_eq!(beyond(Revision(saved), Revision(given_out)), Revision(expected));
        }
    }
}
