//! The store's own door, for `knarr store`: a Unix socket in its folder, which only its owner can enter.
//!
//! A client sends one line of JSON, a [`Question`], and gets one line of JSON, a [`Reply`]; after
//! [`Reply::Snapshot`] come the bytes of a snapshot until the end, whose checksums say whether all came.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use controller_runtime::Tasks;
use serde::{Deserialize, Serialize};
use store::{Store, Writes};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

mod client;

pub use client::{ControlError, StoreControl};
pub(crate) use client::{UNFINISHED, save_as};

/// The folder of the store in a data folder.
pub(crate) fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// In the folder of the store, or in one of its own where the store is on etcd.
fn socket(data_dir: &Path) -> PathBuf {
    let local = store_dir(data_dir);
    let dir = if local.is_dir() { local } else { data_dir.join("etcd") };
    dir.join("control.sock")
}

/// Clients at a time; more wait in the kernel's queue.
const MAX_CLIENTS: usize = 4;
/// A question is a short line, and comes at once.
const MAX_QUESTION_BYTES: u64 = 4096;
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is left.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What `knarr store` asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Question {
    Status,
    Snapshot,
    Compact,
}

/// What it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reply {
    Status(StoreStatus),
    /// The bytes follow.
    Snapshot,
    /// The oldest revision that can still be read.
    Compacted(u64),
    Refused(String),
}

/// How a running store is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    pub revision: u64,
    /// The oldest revision that can be read or watched from.
    pub compacted: u64,
    pub keys: usize,
    pub live_bytes: u64,
    pub disk_bytes: u64,
    pub watches: usize,
    /// `ok`, `no space`, `poisoned`, `unavailable` or `stopped`.
    pub writes: String,
}

impl StoreStatus {
    fn of(store: &Store) -> Self {
        let health = store.health();
        let writes = match health.writes {
            Writes::Ok => "ok",
            Writes::NoSpace => "no space",
            Writes::Poisoned => "poisoned",
            Writes::Unavailable => "unavailable",
            Writes::Stopped => "stopped",
        };
        Self {
            revision: health.revision.0,
            compacted: health.floor.0,
            keys: health.keys,
            live_bytes: health.live_bytes,
            disk_bytes: health.disk_bytes,
            watches: health.watches,
            writes: writes.to_owned(),
        }
    }
}

/// Opens the door of a store that is open, so that nobody else uses the folder.
pub(crate) fn listen(store: &Store, data_dir: &Path, tasks: &Tasks) -> anyhow::Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    const OWNER_DIR: u32 = 0o700;
    let path = socket(data_dir);
    let failed = || format!("listen on {}", path.display());
    if let Some(parent) = path.parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(OWNER_DIR).create(parent);
        made.with_context(failed)?;
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(failed),
        _ => {}
    }
    // The folder is closed to others (0700), also before the mode is set.
    let listener = UnixListener::bind(&path).with_context(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(OWNER_ONLY)).with_context(failed)?;
    let (store, of_clients) = (store.clone(), tasks.clone());
    tasks.spawn("store control", async move {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let store = store.clone();
                    of_clients.spawn("store control client", async move {
                        if let Err(error) = serve(stream, store).await {
                            tracing::debug!(%error, "a client of the store's control socket went away");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the store's control socket failed");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

async fn serve(mut stream: UnixStream, store: Store) -> anyhow::Result<()> {
    let mut line = String::new();
    let mut limited = BufReader::new((&mut stream).take(MAX_QUESTION_BYTES));
    timeout(QUESTION_TIMEOUT, limited.read_line(&mut line)).await.context("no question came")??;
    let reply = match serde_json::from_str(&line) {
        Ok(Question::Status) => Reply::Status(StoreStatus::of(&store)),
        Ok(Question::Snapshot) => return snapshot(stream, store).await,
        Ok(Question::Compact) => {
            let rewritten = store.rewrite().await;
            rewritten.map_or_else(|error| Reply::Refused(error.to_string()), |revision| Reply::Compacted(revision.0))
        }
        Err(error) => Reply::Refused(format!("this server does not understand the question: {error}")),
    };
    timeout(STALL_TIMEOUT, stream.write_all(&line_of(&reply)?)).await.context("the client takes nothing")??;
    Ok(())
}

/// Streams on a thread of its own: encoding is work, and nobody else waits for a slow client.
async fn snapshot(stream: UnixStream, store: Store) -> anyhow::Result<()> {
    let stream = stream.into_std()?;
    let written = tokio::task::spawn_blocking(move || {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(STALL_TIMEOUT))?;
        let mut stream = &stream;
        let say = |reply: &Reply| io::Write::write_all(&mut &*stream, &line_of(reply).map_err(io::Error::other)?);
        match store.savable() {
            Ok(savable) => {
                say(&Reply::Snapshot)?;
                savable.save(&mut stream).map(drop)
            }
            Err(unreadable) => say(&Reply::Refused(unreadable.to_string())),
        }
    });
    written.await.context("the snapshot's thread panicked")??;
    Ok(())
}

fn line_of<T: Serialize>(message: &T) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
