//! What the sequencer does besides writes: room on disk, checkpoints, and letting go of the history.

use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};

use super::{BATCH_BYTES, BATCH_WRITES, Sequencer};
use crate::{
    failpoints::{self, Bug},
    health::Writes,
    local::log::LogError,
    revision::Revision,
    state::{State, Transaction},
    write::WriteError,
};

/// How many entries of history are let go between two batches: few, so that no writer waits for it,
/// and more than a batch adds, so that the bounds hold under any load.
const TRIM_STEPS: usize = 2 * BATCH_WRITES;

impl Sequencer {
    /// Before the first write: what was left by another version, or by a death at the wrong moment, may be too much.
    pub(crate) fn begin(&mut self) {
        let nothing = Transaction { revision: self.state.revision, changes: Arc::new([]) };
        if self.make_room(&nothing).is_err() {
            tracing::warn!(dir = %self.config.dir.display(), "the store's files are larger than they should be, and no checkpoint can be written");
        }
        self.measure();
    }

    /// Whether a transaction would make what is gathered too much for one batch.
    pub(super) fn is_large(&self, transaction: &Transaction) -> bool {
        let gathered = self.log.gathered_bytes() as u64;
        gathered > 0 && gathered + self.added(transaction) > BATCH_BYTES as u64
    }

    /// What a transaction adds to the log, at most.
    fn added(&self, transaction: &Transaction) -> u64 {
        self.room.record(transaction.changes.iter().map(|event| &**event))
    }

    /// Whether there is room on disk for a transaction after what is gathered, some of it since the state `before`.
    pub(super) fn fits(&self, before: &State, transaction: &Transaction) -> bool {
        let added = self.log.gathered_bytes() as u64 + self.added(transaction);
        let after = self.room.after(&self.state, transaction.changes.iter().map(|event| &**event));
        failpoints::has(Bug::NoRoomMade)
            || self.room.has(self.checkpointer.files(&self.log), self.room.data(before).live, added, after)
    }

    /// Makes room on disk for a transaction, by checkpoints that everybody waits for, and at last by letting go of the
    /// history.
    pub(super) fn make_room(&mut self, transaction: &Transaction) -> Result<(), fn() -> WriteError> {
        while !self.fits(&self.state, transaction) {
            let floor = self.state.floor;
            self.trim(usize::MAX);
            if self.state.floor > floor {
                continue;
            }
            if self.checkpointer.is_running() {
                self.checkpointer.hurry();
                self.checkpoint_done();
            } else if self.checkpointer.is_failing() {
                self.gauges.set_writes(Writes::NoSpace);
                return Err(|| WriteError::NoSpace);
            } else if self.checkpointer.frees(&self.state, &self.log) > 0 {
                self.checkpoint();
            } else if self.log.begins_at(self.state.revision) {
                // Nothing is left to let go of: more than a transaction may change was there from before.
                return Ok(());
            } else {
                self.let_go().map_err(|error| self.fail(error))?;
            }
        }
        Ok(())
    }

    /// Lets go of the whole history, so that the next checkpoint is of now and replaces all of the log.
    fn let_go(&mut self) -> Result<(), LogError> {
        self.compact_to = self.state.revision;
        self.trim(usize::MAX);
        // The mark of closing is in the file before, which goes.
        self.wrote = true;
        self.log.rotate(self.state.revision)
    }

    /// Begins a checkpoint; false if it cannot.
    pub(crate) fn checkpoint(&mut self) -> bool {
        let data = self.room.data(&self.state);
        self.checkpointer.start(&self.state, &self.log, data)
    }

    pub(crate) fn checkpoint_done(&mut self) {
        let written = self.checkpointer.finish(&mut self.log);
        for rewrite in self.rewrites.extract_if(.., |rewrite| rewrite.up_to.is_some()) {
            let answer = written.ok_or(WriteError::NoSpace);
            // Whoever no longer waits does not want to know.
            rewrite.done.send(answer).ok();
        }
    }

    #[cfg(test)]
    pub(crate) fn is_checkpointing(&self) -> bool {
        self.checkpointer.is_running()
    }

    pub(super) fn compact(&mut self, revision: Revision, done: oneshot::Sender<()>) {
        self.compact_to = self.compact_to.max(revision);
        self.trim(usize::MAX);
        done.send(()).ok();
    }

    /// Begins a checkpoint of everything, in a log without a past, for those who wait for one.
    pub(super) fn rewrite(&mut self) {
        if self.rewrites.is_empty() || self.checkpointer.is_running() {
            return;
        }
        let begun = match self.let_go() {
            Ok(()) => self.checkpoint(),
            Err(error) => {
                let refusal = self.fail(error);
                self.rewrites.drain(..).for_each(|rewrite| drop(rewrite.done.send(Err(refusal()))));
                return;
            }
        };
        if !begun {
            // There was no thread for it. Whoever waits may ask again.
            self.rewrites.drain(..).for_each(|rewrite| drop(rewrite.done.send(Err(WriteError::NoSpace))));
        }
        let revision = self.state.revision;
        self.rewrites.iter_mut().for_each(|rewrite| rewrite.up_to = Some(revision));
    }

    /// What is due besides writes; a little of it each time.
    pub(crate) fn keep_house(&mut self) {
        let now = Instant::now();
        if let Some((since, _)) = self.relaxed
            && now >= since + self.config.relaxed_delay
        {
            self.sync_relaxed();
        }
        if let (Some((due, then)), Some(every)) = (self.compact_next, self.config.compact_every)
            && now >= due
        {
            self.compact_to = self.compact_to.max(then);
            self.compact_next = Some((now + every, self.state.revision));
        }
        self.trim(TRIM_STEPS);
        if !self.poisoned {
            self.rewrite();
            let (data, files) = (self.room.data(&self.state), self.checkpointer.files(&self.log));
            let is_scarce = self.room.is_scarce(files, data);
            if self.checkpointer.is_due(&self.state, &self.log, data, is_scarce) {
                self.checkpoint();
            }
        }
        self.measure();
    }

    fn sync_relaxed(&mut self) {
        let Some((_, first)) = self.relaxed.take() else { return };
        if !self.poisoned
            && let Err(error) = self.log.sync()
        {
            self.fail(error);
            // If there was no space, it is tried again after as long.
            self.relaxed = (!self.poisoned).then(|| (Instant::now(), first));
        }
    }

    /// Whether there is history that should go.
    pub(super) fn is_over(&self) -> bool {
        let state = &self.state;
        state.oldest().is_some_and(|oldest| oldest <= self.compact_to)
            || state.history.len() > self.config.history_revisions
            || state.history_weight > self.config.history_bytes + state.live_bytes / 8
    }

    fn trim(&mut self, steps: usize) {
        let floor = self.state.floor;
        for _ in 0..steps {
            if !self.is_over() || !self.state.drop_oldest() {
                break;
            }
        }
        if self.state.floor > floor {
            self.hub.publish(self.state.clone(), &[]);
        }
    }

    pub(super) fn measure(&self) {
        let bytes = self.checkpointer.files(&self.log).there + self.log.tail_bytes();
        self.gauges.disk_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
    }
}
