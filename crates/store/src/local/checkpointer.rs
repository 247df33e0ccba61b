//! When to write a checkpoint, and the thread that writes it.
//!
//! The thread works on an immutable map and its own file; the sequencer goes on meanwhile. When the
//! checkpoint is durable it removes what it replaces: the log up to its revision, and the
//! checkpoint before.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use super::{
    checkpoint,
    disk::Disk,
    log::Log,
    queue::{Chore, Queue},
    segment,
};
use crate::{config::StoreConfig, failpoints, revision::Revision, seal::Seal, state::State};

pub(crate) struct Checkpointer {
    disk: Arc<dyn Disk>,
    queue: Arc<Queue>,
    /// The newest durable checkpoint and its size.
    last: Option<(Revision, u64)>,
    running: Option<Running>,
    /// After a failure, none is tried until the log has grown by `due_bytes` beyond this.
    failed_at: u64,
    /// [`StoreConfig::checkpoint_bytes`](crate::StoreConfig).
    due_bytes: u64,
    seal: Option<Arc<dyn Seal>>,
}

struct Running {
    thread: JoinHandle<io::Result<Option<u64>>>,
    stop: Arc<AtomicBool>,
    revision: Revision,
    segments: usize,
}

impl Checkpointer {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        queue: Arc<Queue>,
        last: Option<(Revision, u64)>,
        config: &StoreConfig,
    ) -> Checkpointer {
        let (due_bytes, seal) = (config.checkpoint_bytes, config.seal.clone());
        Checkpointer { disk, queue, last, running: None, failed_at: 0, due_bytes, seal }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.last.map_or(0, |(_, bytes)| bytes)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts one if it is worth it.
    pub(crate) fn consider(&mut self, state: &State, log: &Log) {
        if self.running.is_some() || self.last.is_some_and(|(last, _)| last >= state.floor) {
            return;
        }
        let freed: u64 = log.before(state.floor).iter().map(|segment| segment.bytes).sum();
        // Due when it frees enough of the log, or when the last one is far larger than what lives.
        let due =
            freed >= self.due_bytes.max(state.live_bytes / 8) || self.bytes() > 2 * (state.live_bytes + self.due_bytes);
        let waiting = self.failed_at > 0 && log.bytes() < self.failed_at + self.due_bytes;
        if due && !waiting {
            self.start(state, log);
        }
    }

    /// Begins one, of the floor of the history; false if there is no thread for it.
    pub(crate) fn start(&mut self, state: &State, log: &Log) -> bool {
        let (disk, queue, stop) = (self.disk.clone(), self.queue.clone(), Arc::new(AtomicBool::new(false)));
        let (revision, keys) = (state.floor, state.floor_keys.clone());
        let mut old: Vec<String> = log.before(revision).iter().map(|segment| segment::name(segment.previous)).collect();
        let segments = old.len();
        // One of the same revision is replaced by the new one taking its name.
        let replaced = self.last.filter(|(last, _)| *last != revision);
        old.extend(replaced.map(|(revision, _)| checkpoint::name(revision)));
        let (told, seal) = (stop.clone(), self.seal.clone());
        let spawned = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            let result = checkpoint::write(&*disk, revision, &keys, seal.as_deref(), &told).and_then(|written| {
                if written.is_some() {
                    // Oldest first: what is left after a crash is still an unbroken log.
                    old.iter().try_for_each(|name| remove(&*disk, name))?;
                    failpoints::reach("checkpoint.done");
                }
                Ok(written)
            });
            drop((keys, disk));
            queue.chore(Chore::CheckpointDone);
            result
        });
        match spawned {
            Ok(thread) => self.running = Some(Running { thread, stop, revision, segments }),
            Err(error) => self.failed(log, &error),
        }
        self.is_running()
    }

    /// Takes note of a checkpoint whose thread said it is done; answers its revision if it was written.
    pub(crate) fn finish(&mut self, log: &mut Log) -> Option<Revision> {
        let running = self.running.take()?;
        match running.thread.join() {
            Ok(Ok(Some(bytes))) => {
                tracing::debug!(revision = running.revision.0, bytes, "checkpoint written");
                log.forget(running.segments);
                self.last = Some((running.revision, bytes));
                self.failed_at = 0;
                return Some(running.revision);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => self.failed(log, &error),
            Err(_) => self.failed(log, &io::Error::other("the checkpoint's thread panicked")),
        }
        None
    }

    fn failed(&mut self, log: &Log, error: &io::Error) {
        tracing::warn!(%error, "a checkpoint could not be written; the log grows until one can");
        self.failed_at = log.bytes();
    }

    /// Stops a running one and waits for its thread.
    pub(crate) fn stop(&mut self, log: &mut Log) {
        if let Some(running) = &self.running {
            running.stop.store(true, Ordering::Relaxed);
        }
        self.finish(log);
    }
}

/// What an earlier attempt removed already is fine.
fn remove(disk: &dyn Disk, name: &str) -> io::Result<()> {
    failpoints::reach("checkpoint.removing");
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
