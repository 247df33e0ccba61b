//! Why a store cannot be opened, and what a person can do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{revision::Revision, seal::Unsealable};

/// Nothing was changed on disk when one of these is returned, except for the lock file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error("the store in {} is in use by process {holder}; stop it first", dir.display())]
    Locked { dir: PathBuf, holder: String },
    /// The folder or a file of it cannot be used: read-only, not permitted, full, failing.
    #[error("cannot {action} {}: {source}; the store needs a folder it can write to", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The system gave no thread.
    #[error("cannot start the thread of the store: {source}; raise the limit of processes")]
    Thread { source: io::Error },
    /// The content of a file is not what was written.
    #[error(
        "{} is damaged at byte {offset}: {damage}; the last good revision is {last_good}; \
         move the folder away, and restore the newest snapshot: knarr store snapshot restore SNAPSHOT --data-dir {}",
        path.display(), data_dir(path)
    )]
    Corrupt { path: PathBuf, offset: u64, damage: Damage, last_good: Revision },
    /// A value cannot be decrypted.
    #[error(
        "the value of {key} in {} cannot be read: {why}; give the encryption configuration it was written with",
        path.display()
    )]
    Sealed { path: PathBuf, key: String, why: Unsealable },
    /// The files were written by a version of the program that knows more than this one.
    #[error("{} has format {found}; this version reads format {known}; use the newer version", path.display())]
    Format { path: PathBuf, found: u32, known: u32 },
}

/// The data folder, for the command that restores: the store's folder is in it.
fn data_dir(file: &Path) -> String {
    file.ancestors().nth(2).map_or_else(|| "DIR".to_owned(), |dir| dir.display().to_string())
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("the header is not one of ours")]
    Header,
    #[error("a record's checksum does not match its content and position, and later records were acknowledged")]
    Checksum,
    #[error("a record follows that does not continue the revisions")]
    Sequence,
    #[error("the record cannot be decoded although its checksum holds")]
    Record,
    #[error("the record changes a value that is not the one it was written for")]
    Base,
    #[error("the log file that should begin at revision {0} is missing")]
    Missing(Revision),
    #[error("the checkpoint ends early or its checksum does not match")]
    Checkpoint,
}
