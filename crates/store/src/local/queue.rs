//! The bounded queue between callers and the sequencer.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    revision::Revision,
    write::{Committed, Write, WriteError},
};

/// The most writes that are waiting or being written; further callers wait for a place.
pub(crate) const MAX_WAITING: usize = 4096;

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Inner {
    writes: VecDeque<Request>,
    chores: Vec<Chore>,
    closing: bool,
    stopped: bool,
}

/// A write with somebody waiting for it.
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) answer: oneshot::Sender<Result<Committed, WriteError>>,
    /// Held until the answer, so that the bound counts writes in progress too.
    pub(crate) _place: OwnedSemaphorePermit,
}

/// What the sequencer is asked to do besides writes.
pub(crate) enum Chore {
    Compact(Revision, oneshot::Sender<()>),
    Rewrite(oneshot::Sender<Result<Revision, WriteError>>),
    /// The one with this number.
    CheckpointDone(u64),
    Close(Option<oneshot::Sender<()>>),
}

/// What [`Queue::take`] found.
pub(crate) struct Taken {
    pub(crate) writes: Vec<Request>,
    pub(crate) chores: Vec<Chore>,
    /// No more will come.
    pub(crate) last: bool,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue { inner: Mutex::default(), changed: Condvar::new(), places: Arc::new(Semaphore::new(MAX_WAITING)) }
    }

    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, WriteError> {
        self.places.clone().acquire_owned().await.map_err(|_| WriteError::Stopped)
    }

    pub(crate) fn push(&self, request: Request) -> Result<(), WriteError> {
        let mut inner = self.inner.lock();
        if inner.closing {
            return Err(WriteError::Stopped);
        }
        inner.writes.push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) fn compact(&self, revision: Revision, done: oneshot::Sender<()>) {
        self.chore(Chore::Compact(revision, done));
    }

    pub(crate) fn close(&self, done: Option<oneshot::Sender<()>>) {
        self.inner.lock().closing = true;
        self.places.close();
        self.chore(Chore::Close(done));
    }

    /// A chore for a sequencer that is gone is dropped, which tells whoever waits for it.
    pub(crate) fn chore(&self, chore: Chore) {
        let mut inner = self.inner.lock();
        if !inner.stopped {
            inner.chores.push(chore);
            self.changed.notify_one();
        }
    }

    /// At most `limit` writes and all chores; waits up to `wait` (for ever, if `None`) for some.
    pub(crate) fn take(&self, limit: usize, wait: Option<Duration>) -> Taken {
        let mut inner = self.inner.lock();
        while inner.writes.is_empty() && inner.chores.is_empty() && !inner.closing {
            match wait {
                None => self.changed.wait(&mut inner),
                Some(wait) => {
                    if self.changed.wait_for(&mut inner, wait).timed_out() {
                        break;
                    }
                }
            }
        }
        let count = limit.min(inner.writes.len());
        let writes = inner.writes.drain(..count).collect();
        let chores = std::mem::take(&mut inner.chores);
        Taken { writes, chores, last: inner.closing && inner.writes.is_empty() }
    }

    /// Called when the sequencer ends, however it ends: nobody is left waiting.
    pub(crate) fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.closing = true;
        inner.stopped = true;
        self.places.close();
        let (writes, chores) = (std::mem::take(&mut inner.writes), std::mem::take(&mut inner.chores));
        drop(inner);
        drop((writes, chores));
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.inner.lock().stopped
    }
}
