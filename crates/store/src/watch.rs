//! Following the changes under a prefix, in order, without gap or duplicate.
//!
//! A watch first walks the history it missed, in the immutable state it joined at, and then takes
//! what the hub put into its slot since. The slot is bounded; a watch that does not keep up loses
//! it, is told, and disturbs nobody.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use parking_lot::Mutex;

use crate::{
    event::{Changes, Event},
    failpoints::{self, Bug},
    hub::Hub,
    revision::Revision,
    state::{OutOfWindow, State},
};

/// The most transactions that wait for one watch.
pub const WATCH_QUEUE: usize = 10_000;
/// The most bytes that wait for one watch.
pub const WATCH_QUEUE_BYTES: usize = 64 << 20;
/// How many transactions [`Watch::next`] gives out at once.
const BATCH: usize = 256;

/// A watch ends with one of these, after everything before the end was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Too much waited for this watch. Watch again from [`Watch::progress`], or read anew.
    #[error("the watch fell too far behind; last seen revision {seen}")]
    Lagged { seen: Revision },
    /// The history was lost in between: etcd was out of reach for longer than it keeps its own. Read anew.
    #[error("changes after revision {seen} were missed")]
    Interrupted { seen: Revision },
    /// The store was closed. Watch again from [`Watch::progress`] when it is back.
    #[error("the store was closed")]
    Closed,
}

/// A stream of changes. Dropping it ends it.
pub struct Watch {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    backlog: Option<Arc<State>>,
    /// Everything up to here was given out.
    seen: Revision,
}

/// What the hub knows of a watch.
pub(crate) struct Slot {
    pub(crate) prefix: Box<[u8]>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Revision, Changes)>,
    bytes: usize,
    lagged: bool,
    interrupted: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Watch {
    pub(crate) fn open(hub: Arc<Hub>, prefix: &[u8], after: Revision) -> Result<Watch, OutOfWindow> {
        let slot = Arc::new(Slot { prefix: prefix.into(), queue: Mutex::default() });
        let state = hub.join(&slot);
        let mut watch = Watch { hub, slot, seen: after, backlog: None };
        if let Err(error) = state.window(after)
            && !(failpoints::has(Bug::MissedEventAtCompaction) && after < state.floor)
        {
            return Err(error);
        }
        if failpoints::has(Bug::WatchGoesBack) {
            watch.seen = Revision(after.0.saturating_sub(3));
        }
        watch.backlog = (after < state.revision).then_some(state);
        Ok(watch)
    }

    /// The next changes under the prefix: never empty, and a transaction is never split.
    /// Cancel safe: a future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, WatchError> {
        loop {
            let events = match self.backlog.take() {
                Some(state) => self.catch_up(state),
                None => poll_fn(|cx| self.slot.poll(cx.waker(), &mut self.seen)).await?,
            };
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// The revision up to which this watch has given out everything: what a bookmark may say, and
    /// where the next watch may start. Grows also while nothing under the prefix changes.
    pub fn progress(&mut self) -> Revision {
        if self.backlog.is_none() {
            // Asked for before looking at the queue: what was delivered by then is in it.
            let delivered = self.hub.delivered();
            let queue = self.slot.queue.lock();
            if queue.waiting.is_empty() && !queue.lagged && !queue.interrupted || failpoints::has(Bug::BookmarkAhead) {
                self.seen = self.seen.max(delivered);
            }
        }
        self.seen
    }

    fn catch_up(&mut self, state: Arc<State>) -> Vec<Arc<Event>> {
        let mut events = Vec::new();
        for (revision, changes) in state.history.range(self.seen.next()..) {
            self.slot.select(changes, &mut events);
            self.seen = *revision;
            if events.len() >= BATCH {
                self.backlog = Some(state);
                return events;
            }
        }
        self.seen = state.revision;
        events
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.leave(&self.slot);
    }
}

impl Slot {
    /// Called by the sequencer for each transaction with a key under the prefix; never waits.
    pub(crate) fn push(&self, revision: Revision, changes: &Changes) {
        let mut queue = self.queue.lock();
        if queue.lagged || queue.interrupted {
            return;
        }
        let bytes: usize = changes.iter().map(|event| event.cost()).sum();
        if queue.waiting.len() >= WATCH_QUEUE || queue.bytes + bytes > WATCH_QUEUE_BYTES {
            queue.lagged = true;
            queue.waiting = VecDeque::new();
            queue.bytes = 0;
        } else {
            if failpoints::has(Bug::DuplicateEvent) && revision.0.is_multiple_of(5) {
                queue.waiting.push_back((revision, changes.clone()));
                queue.bytes += bytes;
            }
            queue.waiting.push_back((revision, changes.clone()));
            queue.bytes += bytes;
        }
        queue.wake();
    }

    /// What comes next does not continue what was told: no more is.
    pub(crate) fn interrupt(&self) {
        let mut queue = self.queue.lock();
        queue.interrupted = true;
        queue.wake();
    }

    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.wake();
    }

    fn poll(&self, waker: &Waker, seen: &mut Revision) -> Poll<Result<Vec<Arc<Event>>, WatchError>> {
        let mut queue = self.queue.lock();
        let mut events = Vec::new();
        let split = failpoints::has(Bug::SplitTransaction);
        while events.len() < if split { 1 } else { BATCH }
            && let Some((revision, changes)) = queue.waiting.pop_front()
        {
            queue.bytes -= changes.iter().map(|event| event.cost()).sum::<usize>();
            self.select(&changes, &mut events);
            *seen = revision;
        }
        if !events.is_empty() {
            return Poll::Ready(Ok(events));
        }
        if queue.lagged {
            return Poll::Ready(Err(WatchError::Lagged { seen: *seen }));
        }
        if queue.interrupted {
            return Poll::Ready(Err(WatchError::Interrupted { seen: *seen }));
        }
        if queue.closed {
            return Poll::Ready(Err(WatchError::Closed));
        }
        queue.waker = Some(waker.clone());
        Poll::Pending
    }

    fn select(&self, changes: &Changes, events: &mut Vec<Arc<Event>>) {
        events.extend(changes.iter().filter(|event| event.key.starts_with(&self.prefix)).cloned());
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
