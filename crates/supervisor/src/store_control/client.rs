//! The other side of the door: what `knarr store` does with a store, whether its server runs or not.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use store::{BackupError, Contents, OpenError, Verified};

use super::{Question, Reply, StoreStatus, line_of, socket, store_dir};

/// A server that says nothing for so long is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why something could not be done with a store.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no server runs on {}", data_dir.display())]
    NotRunning { data_dir: PathBuf },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("the server answered what this version does not understand")]
    Answer,
    #[error("{} is there already; choose another name", path.display())]
    Exists { path: PathBuf },
    #[error("{} is being saved by somebody else at this moment", path.display())]
    Busy { path: PathBuf },
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl ControlError {
    /// The same of a snapshot that people know by another name than that of the file it was read from.
    #[must_use]
    pub fn about(self, shown: &str) -> Self {
        match self {
            Self::Backup(BackupError::Damaged { offset, .. }) => {
                Self::Backup(BackupError::Damaged { path: shown.into(), offset })
            }
            Self::Backup(BackupError::Format { found, .. }) => {
                Self::Backup(BackupError::Format { path: shown.into(), found })
            }
            other => other,
        }
    }
}

type Result<T> = std::result::Result<T, ControlError>;

/// The store of a data folder, asked from outside its server.
pub struct StoreControl {
    data_dir: PathBuf,
}

impl StoreControl {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into() }
    }

    /// How the running store is.
    pub fn status(&self) -> Result<StoreStatus> {
        match self.ask(Question::Status)?.0 {
            Reply::Status(status) => Ok(status),
            reply => Err(refusal(reply)),
        }
    }

    /// Lets go of the history of the running store; answers the oldest revision that can still be read.
    pub fn compact(&self) -> Result<u64> {
        match self.ask(Question::Compact)?.0 {
            Reply::Compacted(revision) => Ok(revision),
            reply => Err(refusal(reply)),
        }
    }

    /// Reads the files of the store, running or not, and compares all checksums.
    pub fn verify(&self) -> Result<Verified> {
        Ok(store::verify(&store_dir(&self.data_dir))?)
    }

    /// Saves the store to a file that must not exist, and reads it back. The file has its name when it is whole.
    pub fn save(&self, path: &Path) -> Result<Contents> {
        save_as(path, |file| match self.ask(Question::Snapshot) {
            Ok((Reply::Snapshot, mut stream)) => {
                io::copy(&mut stream, file).map(|_| ()).map_err(|source| failed("write", path, source))
            }
            Ok((reply, _)) => Err(refusal(reply)),
            // Its server is down: the files are all there is.
            Err(ControlError::NotRunning { .. }) => {
                let verified = self.verify()?;
                verified.save(file).map(|_| ()).map_err(|source| failed("write", path, source))
            }
            Err(error) => Err(error),
        })
    }

    /// Makes the store of this data folder from a saved one. Overwrites nothing.
    pub fn restore(&self, path: &Path) -> Result<Contents> {
        std::fs::create_dir_all(&self.data_dir).map_err(|source| failed("create", &self.data_dir, source))?;
        Ok(store::restore(path, &store_dir(&self.data_dir))?)
    }

    fn ask(&self, question: Question) -> Result<(Reply, BufReader<UnixStream>)> {
        let path = socket(&self.data_dir);
        let io = |source| failed("ask the server through", &path, source);
        let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning { data_dir: self.data_dir.clone() }
            }
            _ => failed("ask the server through", &path, source),
        })?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(io)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(io)?;
        (&stream).write_all(&line_of(&question).map_err(|_| ControlError::Answer)?).map_err(io)?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.by_ref().take(super::MAX_QUESTION_BYTES).read_line(&mut line).map_err(io)?;
        let reply = serde_json::from_str(&line).map_err(|_| ControlError::Answer)?;
        Ok((reply, stream))
    }
}

fn refusal(reply: Reply) -> ControlError {
    match reply {
        Reply::Refused(text) => ControlError::Refused(text),
        _ => ControlError::Answer,
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ControlError {
    ControlError::Io { action, path: path.to_owned(), source }
}

/// What is added to the name of a snapshot that is not whole yet.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Writes a snapshot under another name, makes it durable, reads it back, and only then names it.
pub(crate) fn save_as(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<Contents> {
    const OWNER_ONLY: u32 = 0o600;
    if path.symlink_metadata().is_ok() {
        return Err(ControlError::Exists { path: path.to_owned() });
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let io = |action| {
        let path = unfinished.clone();
        move |source| ControlError::Io { action, path, source }
    };
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(OWNER_ONLY);
    let file = options.open(&unfinished).map_err(io("write"))?;
    // Another save to this name may be under way; what a dead one left is overwritten.
    file.try_lock().map_err(|_| ControlError::Busy { path: path.to_owned() })?;
    // It may have got its name since it was opened: then it is a whole snapshot, and nobody's to write to.
    let same = unfinished.metadata().and_then(|there| Ok(there.ino() == file.metadata()?.ino()));
    if !same.unwrap_or_default() {
        return Err(ControlError::Busy { path: path.to_owned() });
    }
    let mut file = file;
    file.set_len(0).map_err(io("write"))?;
    let written = write(&mut file).and_then(|()| file.sync_all().map_err(io("sync")));
    let contents = written.and_then(|()| Ok(store::check(&unfinished)?)).inspect_err(|_| {
        // What is wrong has been said; a leftover is no more than that.
        std::fs::remove_file(&unfinished).ok();
    })?;
    std::fs::rename(&unfinished, path).map_err(io("rename"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("sync the folder of"))?;
    Ok(contents)
}
