//! Who waits for the state to come to a revision.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{hub::Hub, revision::Revision};

/// Two may wait for the same revision.
type Place = (Revision, u64);

#[derive(Default)]
pub(crate) struct Waiters {
    places: Mutex<BTreeMap<Place, oneshot::Sender<()>>>,
    next: AtomicU64,
}

/// A place in the row. Dropping it leaves the row.
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    place: Place,
    woken: oneshot::Receiver<()>,
}

impl Waiters {
    /// `None` if the state is there already.
    pub(crate) fn wait(&self, hub: &Hub, revision: Revision) -> Option<Waiting<'_>> {
        let mut places = self.places.lock();
        // The state is published before anybody is woken: who does not see it here is in the row by then.
        if hub.state().revision >= revision {
            return None;
        }
        let place = (revision, self.next.fetch_add(1, Ordering::Relaxed));
        let (wake, woken) = oneshot::channel();
        places.insert(place, wake);
        Some(Waiting { waiters: self, place, woken })
    }

    /// Everybody up to this revision, which is published, goes on.
    pub(crate) fn wake(&self, revision: Revision) {
        let mut places = self.places.lock();
        let later = places.split_off(&(revision.next(), 0));
        let woken = std::mem::replace(&mut *places, later);
        drop(places);
        // Whoever no longer waits does not want to know.
        woken.into_values().for_each(|wake| {
            wake.send(()).ok();
        });
    }
}

impl Waiting<'_> {
    /// Cancel safe.
    pub(crate) async fn done(&mut self) {
        if (&mut self.woken).await.is_err() {
            // Nobody is left to say so: not while `waiters` is borrowed.
            std::future::pending().await
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiters.places.lock().remove(&self.place);
    }
}
