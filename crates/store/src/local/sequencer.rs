//! The one thread that decides: compare, assign, log, sync, publish, answer.
//!
//! Invariants:
//! - a durable change is seen by nobody before it is on disk;
//! - everybody sees changes in the order of the log;
//! - a batch that could not be written leaves the state as it was, for all who asked, the refused
//!   too: a refusal may rest on a change that did not happen;
//! - what is seen has been handed to the kernel, in the log or in its tail: no death of the process loses it;
//! - revisions that are seen before they are on disk are fewer than recovery skips.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    checkpointer::Checkpointer,
    gauges::Gauges,
    log::{Log, LogError},
    queue::{Chore, Queue, Request, Taken},
    record::Mark,
    recovery::Recovered,
    room::Room,
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

mod house;

pub(crate) struct Sequencer {
    state: State,
    log: Log,
    checkpointer: Checkpointer,
    room: Room,
    config: StoreConfig,
    hub: Arc<Hub>,
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    poisoned: bool,
    /// Whether the log ended with [`Kind::Closed`] when it was opened, and was written to since.
    clean: bool,
    wrote: bool,
    /// Whether the mark of closing is still the last that is known to be on disk.
    is_marked: bool,
    /// Since when relaxed writes wait for their sync, and from which revision on.
    relaxed: Option<(Instant, Revision)>,
    /// When the last of them came.
    newest_relaxed: Option<Instant>,
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

/// A write whose compares hold and whose values are made, at the state as it is.
struct Prepared {
    request: Request,
    transaction: Transaction,
}

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
            room: Room::new(&config),
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
            is_marked: report.clean,
            relaxed: None,
            newest_relaxed: None,
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
                closers.extend(self.chore(chore));
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

    /// Does what it is asked to do besides writes; gives back who waits for the store to be closed.
    pub(crate) fn chore(&mut self, chore: Chore) -> Option<oneshot::Sender<()>> {
        match chore {
            Chore::Compact(revision, done) => self.compact(revision, done),
            Chore::Rewrite(done) => self.rewrites.push(Rewrite { up_to: None, done }),
            Chore::CheckpointDone(number) if number == self.checkpointer.number() => self.checkpoint_done(),
            // Somebody waited for that one.
            Chore::CheckpointDone(_) => {}
            Chore::Close(done) => return done,
        }
        None
    }

    pub(crate) fn write(&mut self, requests: Vec<Request>) {
        let mut requests = requests.into_iter().peekable();
        let mut first = None;
        while first.is_some() || requests.peek().is_some() {
            if self.poisoned {
                refuse(rest(first, requests), || WriteError::Poisoned);
                return;
            }
            if let Some(prepared) = &first
                && let Err(refusal) = self.make_room(&prepared.transaction)
            {
                refuse(rest(first.take(), []), refusal);
                continue;
            }
            if self.log.is_full() {
                // The mark of closing is in the file before, which a checkpoint may remove.
                self.wrote = true;
                if let Err(error) = self.log.rotate(self.state.revision) {
                    let refusal = self.fail(error);
                    refuse(rest(first, requests), refusal);
                    return;
                }
            }
            first = self.batch(first, &mut requests);
        }
    }

    /// Takes requests until the batch is large enough, writes it, and answers. For the first one there is room; one
    /// that finds none, or makes the batch too large, is given back.
    fn batch(&mut self, mut first: Option<Prepared>, requests: &mut impl Iterator<Item = Request>) -> Option<Prepared> {
        let before = self.state.clone();
        let mut answers: Vec<Answer> = Vec::new();
        let mut published = Vec::new();
        let mut durable = false;
        let mut left = None;
        loop {
            let is_first = first.is_some();
            let Prepared { request, transaction } = match first.take() {
                Some(prepared) => prepared,
                None if self.log.gathered_bytes() >= BATCH_BYTES => break,
                None => {
                    let Some(mut request) = requests.next() else { break };
                    match Transaction::prepare(&self.state, std::mem::take(&mut request.write.ops)) {
                        Ok(transaction) => Prepared { request, transaction },
                        Err(refused) => {
                            answers.push((request, Err(refused)));
                            continue;
                        }
                    }
                }
            };
            let is_too_much = || self.is_large(&transaction) || !self.fits(&before, &transaction);
            if !is_first && !transaction.changes.is_empty() && is_too_much() {
                left = Some(Prepared { request, transaction });
                break;
            }
            let Transaction { revision, changes } = transaction;
            if !changes.is_empty() {
                durable |= request.write.durability == Durability::Durable;
                self.apply(revision, &changes);
                published.push((revision, changes.clone()));
            }
            answers.push((request, Ok(Committed { revision, changes })));
        }
        failpoints::reach("batch.prepared");
        if failpoints::has(Bug::DirtyRead) {
            self.hub.publish(self.state.clone(), &published);
        }
        if let Err(error) = self.persist(&before, durable) {
            self.state = before;
            let refusal = self.fail(error);
            refuse(rest(left, answers.into_iter().map(|(request, _)| request)), refusal);
            return None;
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
        left
    }

    fn apply(&mut self, revision: Revision, changes: &Changes) {
        self.log.push(revision, changes.iter().map(|event| &**event));
        self.state.push(revision, changes.clone());
    }

    fn persist(&mut self, before: &State, durable: bool) -> Result<(), LogError> {
        if !self.log.has_new() {
            return Ok(());
        }
        let now = Instant::now();
        let (since, first) = self.relaxed.unwrap_or((now, before.revision));
        // Strictly fewer than are skipped: the last revision given out never comes back.
        let is_far = self.state.revision.0 - first.0 + BATCH_WRITES as u64 >= MAX_UNSYNCED;
        // A power cut must not leave the mark of closing as the last word, when more was seen.
        if durable || is_far || self.is_marked {
            self.log.flush()?;
            self.wrote = true;
            if !failpoints::has(Bug::AcknowledgedBeforeSync) {
                self.log.sync()?;
            }
            (self.is_marked, self.relaxed) = (false, None);
            return Ok(());
        }
        let is_dense = self.newest_relaxed.is_some_and(|newest| now - newest < self.config.gather_within);
        self.newest_relaxed = Some(now);
        self.relaxed = Some((since, first));
        match is_dense || self.log.has_kept() {
            true => self.log.keep(),
            false => self.log.flush(),
        }
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

    pub(crate) fn close(&mut self) {
        self.checkpointer.stop(&mut self.log);
        if self.poisoned {
            return;
        }
        if self.clean && !self.wrote {
            return;
        }
        match self.log.mark(Mark::Closed, self.state.revision) {
            Ok(()) => {
                if let Err(error) = self.log.remove_tail() {
                    tracing::warn!(%error, "a file that is no longer needed could not be removed");
                }
            }
            Err(error) => drop(self.fail(error)),
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

/// The one that was given back, and those after it.
fn rest(first: Option<Prepared>, others: impl IntoIterator<Item = Request>) -> impl Iterator<Item = Request> {
    first.map(|prepared| prepared.request).into_iter().chain(others)
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
