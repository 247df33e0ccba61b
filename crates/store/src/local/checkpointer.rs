//! When to write a checkpoint, and the thread that writes it.
//!
//! The thread works on an immutable map and its own file; the sequencer goes on meanwhile. When the
//! checkpoint is durable it removes what it replaces: the log up to its revision, and the
//! checkpoint before.

use std::{io, sync::Arc, thread::JoinHandle, time::Duration};

use tokio::time::Instant;

use super::{
    checkpoint,
    disk::Disk,
    log::Log,
    pace::Pace,
    queue::{Chore, Queue},
    room::{Data, Files},
    segment,
};
use crate::{config::StoreConfig, failpoints, revision::Revision, seal::Seal, state::State};

/// After a failure, nobody who needs room has one tried again for so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Checkpointer {
    disk: Arc<dyn Disk>,
    queue: Arc<Queue>,
    /// The newest durable checkpoint and its size.
    last: Option<(Revision, u64)>,
    running: Option<Running>,
    /// Counts those that were begun.
    number: u64,
    /// After a failure, none is tried until the log has grown by `due_bytes` beyond this.
    failed_at: u64,
    failed: Option<Instant>,
    /// What should be gone and is not, with sizes. Removed after the next checkpoint.
    leftovers: Vec<(String, u64)>,
    /// [`StoreConfig::checkpoint_bytes`](crate::StoreConfig).
    due_bytes: u64,
    seal: Option<Arc<dyn Seal>>,
}

struct Running {
    thread: JoinHandle<Outcome>,
    pace: Arc<Pace>,
    revision: Revision,
    segments: usize,
    /// The most bytes it will have, and the bytes it removes.
    coming: u64,
    going: u64,
}

/// What a thread tells when it ends.
struct Outcome {
    /// The size, if it was not told to stop.
    written: io::Result<Option<u64>>,
    /// Whether everything it replaces is removed.
    removed: io::Result<()>,
    leftovers: Vec<(String, u64)>,
}

impl Checkpointer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        queue: Arc<Queue>,
        last: Option<(Revision, u64)>,
        config: &StoreConfig,
    ) -> Checkpointer {
        let (due_bytes, seal) = (config.checkpoint_bytes, config.seal.clone());
        let (leftovers, failed) = (Vec::new(), None);
        Checkpointer { disk, queue, last, running: None, number: 0, failed_at: 0, failed, leftovers, due_bytes, seal }
    }

    /// What lies on disk, and what a running checkpoint makes of it.
    pub(crate) fn files(&self, log: &Log) -> Files {
        let left: u64 = self.leftovers.iter().map(|(_, bytes)| bytes).sum();
        let there = log.bytes() + self.bytes() + left;
        let (coming, going) = self.running.as_ref().map_or((0, 0), |running| (running.coming, running.going));
        Files { there, coming, going }
    }

    fn bytes(&self) -> u64 {
        self.last.map_or(0, |(_, bytes)| bytes)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Somebody waits for the running one.
    pub(crate) fn hurry(&self) {
        if let Some(running) = &self.running {
            running.pace.hurry();
        }
    }

    /// The number of the running one, or of the latest.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What one of the floor of the history would let go of.
    pub(crate) fn frees(&self, state: &State, log: &Log) -> u64 {
        let of_log: u64 = log.before(state.floor).iter().map(|segment| segment.bytes).sum();
        let is_older = self.last.is_some_and(|(last, _)| last < state.floor);
        of_log + if is_older { self.bytes() } else { 0 }
    }

    /// Whether one is worth its writing: it frees enough of the log, the last one holds too much that is dead, or
    /// there is little room left.
    pub(crate) fn is_due(&self, state: &State, log: &Log, data: Data, is_scarce: bool) -> bool {
        if self.running.is_some() || self.last.is_some_and(|(last, _)| last >= state.floor) {
            return false;
        }
        let gain = self.frees(state, log).saturating_sub(self.bytes().min(data.checkpoint));
        // It costs its own size in writing, so it is to free half as much.
        let enough = self.due_bytes.max(data.live / 2);
        let waiting = self.failed_at > 0 && log.bytes() < self.failed_at + self.due_bytes;
        !waiting && (gain >= enough || is_scarce && gain >= enough / 4)
    }

    /// Whether the latest attempt failed just now.
    pub(crate) fn is_failing(&self) -> bool {
        self.failed.is_some_and(|failed| failed.elapsed() < RETRY_AFTER)
    }

    /// Begins one, of the floor of the history; false if there is no thread for it.
    pub(crate) fn start(&mut self, state: &State, log: &Log, data: Data) -> bool {
        let (disk, queue, pace) = (self.disk.clone(), self.queue.clone(), Arc::new(Pace::gentle()));
        let (revision, keys) = (state.floor, state.floor_keys.clone());
        let (going, name) = (self.frees(state, log), checkpoint::name(revision));
        let before = log.before(revision);
        let segments = before.len();
        let mut old: Vec<(String, u64)> =
            before.iter().map(|segment| (segment::name(segment.previous), segment.bytes)).collect();
        let last = self.last.map(|(revision, bytes)| (checkpoint::name(revision), bytes));
        // One of the same revision is replaced by the new one taking its name.
        old.extend(last.iter().chain(&self.leftovers).cloned());
        old.retain(|(old, _)| *old != name);
        let (seal, told) = (self.seal.clone(), pace.clone());
        let number = self.number + 1;
        let spawned = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            let written = checkpoint::write(&*disk, revision, &keys, seal.as_deref(), &told);
            let is_written = matches!(written, Ok(Some(_)));
            // Oldest first: what is left after a crash is still an unbroken log.
            let mut each = old.iter().filter(|_| is_written);
            let removed = each.try_for_each(|(name, bytes)| remove(&*disk, name, *bytes, &told));
            failpoints::reach("checkpoint.done");
            let leftovers = match (&written, &removed) {
                (Ok(_), Ok(())) => Vec::new(),
                (Ok(Some(_)), Err(_)) => sizes(&*disk, |other| old.iter().any(|(old, _)| old == other)),
                _ => sizes(&*disk, |other| {
                    checkpoint::is_any(other) && last.as_ref().is_none_or(|(last, _)| last != other)
                }),
            };
            drop((keys, disk));
            queue.chore(Chore::CheckpointDone(number));
            Outcome { written, removed, leftovers }
        });
        match spawned {
            Ok(thread) => {
                self.number = number;
                self.running = Some(Running { thread, pace, revision, segments, coming: data.checkpoint, going });
            }
            Err(error) => self.failed(log, &error),
        }
        self.is_running()
    }

    /// Waits for the running one; answers its revision if it was written.
    pub(crate) fn finish(&mut self, log: &mut Log) -> Option<Revision> {
        let running = self.running.take()?;
        let Ok(Outcome { written, removed, leftovers }) = running.thread.join() else {
            self.failed(log, &io::Error::other("the checkpoint's thread panicked"));
            return None;
        };
        self.leftovers = leftovers;
        match written {
            Ok(Some(bytes)) => {
                tracing::debug!(revision = running.revision.0, bytes, "checkpoint written");
                if let Err(error) = removed {
                    tracing::warn!(%error, "what a checkpoint replaced could not be removed; tried again after the next");
                }
                log.forget(running.segments);
                self.last = Some((running.revision, bytes));
                (self.failed_at, self.failed) = (0, None);
                return Some(running.revision);
            }
            Ok(None) => {}
            Err(error) => self.failed(log, &error),
        }
        None
    }

    fn failed(&mut self, log: &Log, error: &io::Error) {
        tracing::warn!(%error, "a checkpoint could not be written; the log grows until there is no more room for it");
        (self.failed_at, self.failed) = (log.bytes(), Some(Instant::now()));
    }

    /// Stops a running one and waits for its thread.
    pub(crate) fn stop(&mut self, log: &mut Log) {
        if let Some(running) = &self.running {
            running.pace.stop();
        }
        self.finish(log);
    }
}

/// What an earlier attempt removed already is fine.
fn remove(disk: &dyn Disk, name: &str, bytes: u64, pace: &Pace) -> io::Result<()> {
    failpoints::reach("checkpoint.removing");
    // What stays long is removed all the same, in one go.
    shorten(disk, name, bytes, pace).ok();
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// A file system frees a file in one step of its journal, which everybody's syncs wait for. So a long one is made short
/// first, piece by piece, from its end.
fn shorten(disk: &dyn Disk, name: &str, bytes: u64, pace: &Pace) -> io::Result<()> {
    let mut left = bytes;
    if left <= pace.piece() {
        return Ok(());
    }
    let mut file = disk.open(name)?;
    while left > 0 {
        let since = Instant::now();
        left = left.saturating_sub(pace.piece());
        file.truncate(left)?;
        pace.rest(since);
    }
    Ok(())
}

/// The files of these names that are there, with their sizes.
fn sizes(disk: &dyn Disk, is_one: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
    let all = disk.list().unwrap_or_else(|error| {
        tracing::warn!(%error, "the store's folder cannot be listed; what was left in it is not counted");
        Vec::new()
    });
    all.into_iter().filter(|(name, _)| is_one(name)).collect()
}
