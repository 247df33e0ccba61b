//! The one thread that decides: compare, assign, log, sync, publish, answer.
//!
//! Invariants:
//! - a durable change is seen by nobody before it is on disk;
//! - everybody sees changes in the order of the log;
//! - a batch that could not be written leaves the state as it was, for all who asked, the refused
//!   too: a refusal may rest on a change that did not happen.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    checkpointer::Checkpointer,
    gauges::Gauges,
    log::{Log, LogError},
    queue::{Chore, Queue, Request, Taken},
    record::Kind,
    recovery::Recovered,
};
use crate::{
    config::StoreConfig,
    event::Changes,
    failpoints::{self, Bug},
    health::Writes,
    hub::Hub,
    revision::Revision,
    state::{State, Transaction},
    write::{Committed, Durability, WriteError},
};

/// The most writes that share one sync.
const BATCH_WRITES: usize = 1024;
/// A batch is closed when its records have this size.
const BATCH_BYTES: usize = 4 << 20;
/// The most revisions that are visible but not on disk; recovery skips as many.
pub(crate) const MAX_UNSYNCED: u64 = 10_000;
/// How many entries of history are let go between two batches: few, so that no writer waits for it,
/// and more than a batch adds, so that the bounds hold under any load.
const TRIM_STEPS: usize = 2 * BATCH_WRITES;

pub(crate) struct Sequencer {
    state: State,
    log: Log,
    checkpointer: Checkpointer,
    config: StoreConfig,
    hub: Arc<Hub>,
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    poisoned: bool,
    /// Whether the log ended with [`Kind::Closed`] when it was opened, and was written to since.
    clean: bool,
    wrote: bool,
    /// Since when relaxed writes wait for their sync, and from which revision on.
    relaxed: Option<(Instant, Revision)>,
    /// The history up to here is to go.
    compact_to: Revision,
    compact_next: Option<(Instant, Revision)>,
    rewrites: Vec<Rewrite>,
}

/// Somebody waits for everything to be written anew.
struct Rewrite {
    /// The checkpoint that will have done it, once it is begun.
    up_to: Option<Revision>,
    done: oneshot::Sender<Result<Revision, WriteError>>,
}

type Answer = (Request, Result<Committed, WriteError>);

impl Sequencer {
    pub(crate) fn new(
        recovered: Recovered,
        config: StoreConfig,
        hub: Arc<Hub>,
        queue: Arc<Queue>,
        gauges: Arc<Gauges>,
    ) -> Sequencer {
        let Recovered { state, log, disk, checkpoint, report } = recovered;
        let sequencer = Sequencer {
            checkpointer: Checkpointer::new(disk, queue.clone(), checkpoint, &config),
            compact_to: state.floor,
            compact_next: config.compact_every.map(|every| (Instant::now() + every, state.revision)),
            state,
            log,
            config,
            hub,
            queue,
            gauges,
            poisoned: false,
            clean: report.clean && report.records > 0,
            wrote: false,
            relaxed: None,
            rewrites: Vec::new(),
        };
        sequencer.measure();
        sequencer
    }

    pub(crate) fn run(mut self) {
        let _stopped = Stopped { queue: self.queue.clone(), hub: self.hub.clone() };
        let mut closers = Vec::new();
        loop {
            let Taken { writes, chores, last } = self.queue.take(BATCH_WRITES, self.patience());
            self.write(writes);
            for chore in chores {
                match chore {
                    Chore::Compact(revision, done) => self.compact(revision, done),
                    Chore::Rewrite(done) => self.rewrites.push(Rewrite { up_to: None, done }),
                    Chore::CheckpointDone => self.checkpoint_done(),
                    Chore::Close(done) => closers.extend(done),
                }
            }
            if last {
                break;
            }
            self.keep_house();
        }
        self.close();
        self.hub.close();
        // The folder is free before anybody is told so.
        let queue = self.queue.clone();
        drop(self);
        queue.stop();
        closers.into_iter().for_each(|done| {
            done.send(()).ok();
        });
    }

    pub(crate) fn write(&mut self, requests: Vec<Request>) {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            if self.poisoned {
                refuse(requests, || WriteError::Poisoned);
                return;
            }
            if self.log.is_full() {
                // The mark of closing is in the file before, which a checkpoint may remove.
                self.wrote = true;
                if let Err(error) = self.log.rotate(self.state.revision) {
                    let refusal = self.fail(error);
                    refuse(requests, refusal);
                    return;
                }
            }
            self.batch(&mut requests);
        }
    }

    /// Takes requests until the batch is large enough, writes it, and answers.
    fn batch(&mut self, requests: &mut impl Iterator<Item = Request>) {
        let before = self.state.clone();
        let mut answers: Vec<Answer> = Vec::new();
        let mut published = Vec::new();
        let mut durable = false;
        while self.log.staged_bytes() < BATCH_BYTES
            && let Some(mut request) = requests.next()
        {
            let ops = std::mem::take(&mut request.write.ops);
            let result = Transaction::prepare(&self.state, ops).map(|transaction| {
                let Transaction { revision, changes } = transaction;
                if !changes.is_empty() {
                    durable |= request.write.durability == Durability::Durable;
                    self.apply(revision, &changes);
                    published.push((revision, changes.clone()));
                }
                Committed { revision, changes }
            });
            answers.push((request, result));
        }
        failpoints::reach("batch.prepared");
        if failpoints::has(Bug::DirtyRead) {
            self.hub.publish(self.state.clone(), &published);
        }
        if let Err(error) = self.persist(&before, durable) {
            self.state = before;
            let refusal = self.fail(error);
            refuse(answers.into_iter().map(|(request, _)| request), refusal);
            return;
        }
        drop(before);
        if failpoints::has(Bug::StaleRead) {
            answer(std::mem::take(&mut answers));
            std::thread::sleep(Duration::from_millis(1));
        }
        if !published.is_empty() {
            self.gauges.set_writes(Writes::Ok);
            if !failpoints::has(Bug::DirtyRead) {
                self.hub.publish(self.state.clone(), &published);
            }
        }
        failpoints::reach("batch.published");
        answer(answers);
        failpoints::reach("batch.answered");
    }

    fn apply(&mut self, revision: Revision, changes: &Changes) {
        self.log.stage(Kind::Transaction, revision, changes.iter().map(|event| &**event));
        self.state.push(revision, changes.clone());
    }

    fn persist(&mut self, before: &State, durable: bool) -> Result<(), LogError> {
        if self.log.staged_bytes() == 0 {
            return Ok(());
        }
        self.log.flush()?;
        self.wrote = true;
        let (since, first) = self.relaxed.unwrap_or((Instant::now(), before.revision));
        // Strictly fewer than are skipped: the last revision given out never comes back.
        if durable || self.state.revision.0 - first.0 + BATCH_WRITES as u64 >= MAX_UNSYNCED {
            if !failpoints::has(Bug::AcknowledgedBeforeSync) {
                self.log.sync()?;
            }
            self.relaxed = None;
        } else {
            self.relaxed = Some((since, first));
        }
        Ok(())
    }

    /// Takes note of what became of the log, and says what the callers are told.
    fn fail(&mut self, error: LogError) -> fn() -> WriteError {
        match error {
            LogError::NoSpace => {
                if self.gauges.writes() != Writes::NoSpace {
                    tracing::error!(dir = %self.config.dir.display(), "the store's disk is full; writes are refused until there is space");
                }
                self.gauges.set_writes(Writes::NoSpace);
                || WriteError::NoSpace
            }
            LogError::Poisoned(error) => {
                tracing::error!(%error, dir = %self.config.dir.display(), "the store's log could not be made durable; no more writes are accepted, restart to recover");
                self.gauges.set_writes(Writes::Poisoned);
                self.poisoned = true;
                || WriteError::Poisoned
            }
        }
    }

    fn compact(&mut self, revision: Revision, done: oneshot::Sender<()>) {
        self.compact_to = self.compact_to.max(revision);
        self.trim(usize::MAX);
        done.send(()).ok();
    }

    /// Begins a checkpoint of everything, in a log without a past, for those who wait for one.
    fn rewrite(&mut self) {
        if self.rewrites.is_empty() || self.checkpointer.is_running() {
            return;
        }
        self.compact_to = self.state.revision;
        self.trim(usize::MAX);
        // The mark of closing is in the file before, which goes.
        self.wrote = true;
        let begun = match self.log.rotate(self.state.revision) {
            Ok(()) => self.checkpointer.start(&self.state, &self.log),
            Err(error) => {
                let refusal = self.fail(error);
                self.rewrites.drain(..).for_each(|rewrite| drop(rewrite.done.send(Err(refusal()))));
                return;
            }
        };
        let revision = self.state.revision;
        self.rewrites.iter_mut().filter(|_| begun).for_each(|rewrite| rewrite.up_to = Some(revision));
    }

    #[cfg(test)]
    pub(crate) fn is_checkpointing(&self) -> bool {
        self.checkpointer.is_running()
    }

    pub(crate) fn checkpoint_done(&mut self) {
        let written = self.checkpointer.finish(&mut self.log);
        for rewrite in self.rewrites.extract_if(.., |rewrite| rewrite.up_to.is_some()) {
            let answer = written.ok_or(WriteError::NoSpace);
            // Whoever no longer waits does not want to know.
            rewrite.done.send(answer).ok();
        }
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
            self.checkpointer.consider(&self.state, &self.log);
        }
        self.measure();
    }

    fn sync_relaxed(&mut self) {
        self.relaxed = None;
        if !self.poisoned
            && let Err(error) = self.log.sync()
        {
            self.fail(error);
        }
    }

    /// How long nothing needs doing if nobody asks for anything.
    fn patience(&self) -> Option<Duration> {
        if self.is_over() {
            return Some(Duration::ZERO);
        }
        let relaxed = self.relaxed.map(|(since, _)| since + self.config.relaxed_delay);
        let compact = self.compact_next.map(|(due, _)| due);
        let next = relaxed.into_iter().chain(compact).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Whether there is history that should go.
    fn is_over(&self) -> bool {
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

    fn measure(&self) {
        let bytes = self.log.bytes() + self.checkpointer.bytes();
        self.gauges.disk_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn close(&mut self) {
        self.checkpointer.stop(&mut self.log);
        if self.poisoned {
            return;
        }
        if self.clean && !self.wrote {
            return;
        }
        self.log.stage(Kind::Closed, self.state.revision, []);
        if let Err(error) = self.log.flush().and_then(|()| self.log.sync()) {
            self.fail(error);
        }
        failpoints::reach("close.marked");
    }
}

fn answer(answers: Vec<Answer>) {
    for (request, result) in answers {
        // Whoever no longer waits does not want to know.
        request.answer.send(result).ok();
    }
}

/// Answers everybody with the same refusal.
fn refuse(requests: impl Iterator<Item = Request>, error: impl Fn() -> WriteError) {
    for request in requests {
        request.answer.send(Err(error())).ok();
    }
}

/// Leaves nobody waiting when the thread ends, by a panic too.
struct Stopped {
    queue: Arc<Queue>,
    hub: Arc<Hub>,
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.queue.stop();
        self.hub.close();
    }
}
