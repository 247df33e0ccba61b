//! Where the newest state is published, and where watches wait for it.
//!
//! Publishing and joining happen under one lock: a watch that joins at revision R finds what is up
//! to R in the state it got, and everything after R in its queue. No gap, no duplicate.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use crate::{
    event::Changes,
    failpoints::{self, Bug},
    index::Index,
    revision::Revision,
    state::State,
    watch::Slot,
};

pub(crate) struct Hub {
    state: RwLock<Arc<State>>,
    watches: Mutex<Watches>,
    /// Every change up to here is in the queue of every watch it concerns.
    delivered: AtomicU64,
}

struct Watches {
    by_prefix: HashMap<Box<[u8]>, Vec<Arc<Slot>>>,
    /// How many different prefixes there are of each length: what a key is looked up by.
    lengths: BTreeMap<usize, usize>,
    closed: bool,
    /// Of the state that is published, and never behind it.
    index: Arc<Index>,
}

impl Hub {
    pub(crate) fn new(mut state: State) -> Hub {
        let delivered = AtomicU64::new(state.revision.0);
        let index = Arc::new(Index::of(&state.keys));
        state.index = Some(index.clone());
        let watches = Watches { by_prefix: HashMap::new(), lengths: BTreeMap::new(), closed: false, index };
        Hub { state: RwLock::new(Arc::new(state)), watches: Mutex::new(watches), delivered }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.read().clone()
    }

    /// Shows the state to readers, and the changes to the watches they concern.
    pub(crate) fn publish(&self, mut state: State, batch: &[(Revision, Changes)]) {
        let watches = self.watches.lock();
        let revision = state.revision;
        // Before anybody can ask for it at this state.
        batch.iter().flat_map(|(_, changes)| changes.iter()).for_each(|event| watches.index.apply(event));
        state.index = Some(watches.index.clone());
        let old = std::mem::replace(&mut *self.state.write(), Arc::new(state));
        for (revision, changes) in batch {
            watches.deliver(*revision, changes);
        }
        self.delivered.store(revision.0, Ordering::Release);
        drop(watches);
        // Freeing what only the old state held is not done under the locks.
        drop(old);
    }

    /// Shows a state that does not continue the one before. Every watch ends after what it was told so far.
    pub(crate) fn restart(&self, mut state: State) {
        // Revisions may go back, so what the old one has says nothing about this state.
        let index = Arc::new(Index::of(&state.keys));
        state.index = Some(index.clone());
        let mut watches = self.watches.lock();
        watches.index = index;
        let revision = state.revision;
        let old = std::mem::replace(&mut *self.state.write(), Arc::new(state));
        watches.by_prefix.values().flatten().for_each(|slot| slot.interrupt());
        watches.by_prefix.clear();
        watches.lengths.clear();
        self.delivered.store(revision.0, Ordering::Release);
        drop(watches);
        drop(old);
    }

    pub(crate) fn delivered(&self) -> Revision {
        Revision(self.delivered.load(Ordering::Acquire))
    }

    /// The state at the moment of joining; everything later comes to the slot.
    pub(crate) fn join(&self, slot: &Arc<Slot>) -> Arc<State> {
        let mut watches = self.watches.lock();
        if watches.closed {
            slot.close();
        } else {
            watches.add(slot);
        }
        self.state()
    }

    pub(crate) fn leave(&self, slot: &Arc<Slot>) {
        self.watches.lock().remove(slot);
    }

    /// Ends every watch; those that join later end at once, after what they missed.
    pub(crate) fn close(&self) {
        let mut watches = self.watches.lock();
        watches.closed = true;
        watches.by_prefix.values().flatten().for_each(|slot| slot.close());
        watches.by_prefix.clear();
        watches.lengths.clear();
    }

    pub(crate) fn watch_count(&self) -> usize {
        self.watches.lock().by_prefix.values().map(Vec::len).sum()
    }
}

impl Watches {
    fn deliver(&self, revision: Revision, changes: &Changes) {
        if failpoints::has(Bug::SplitTransaction) && changes.len() > 1 {
            changes.iter().for_each(|event| self.deliver(revision, &[event.clone()].into()));
        } else if let [event] = &**changes {
            // The usual case: one key, and each watch sees it at most once.
            for &length in self.lengths.keys().take_while(|length| **length <= event.key.len()) {
                for slot in self.by_prefix.get(&event.key[..length]).into_iter().flatten() {
                    slot.push(revision, changes);
                }
            }
        } else {
            let concerned = |prefix: &[u8]| changes.iter().any(|e| e.key.starts_with(prefix));
            for (_, slots) in self.by_prefix.iter().filter(|(prefix, _)| concerned(prefix)) {
                slots.iter().for_each(|slot| slot.push(revision, changes));
            }
        }
    }

    fn add(&mut self, slot: &Arc<Slot>) {
        let slots = self.by_prefix.entry(slot.prefix.clone()).or_default();
        if slots.is_empty() {
            *self.lengths.entry(slot.prefix.len()).or_default() += 1;
        }
        slots.push(slot.clone());
    }

    fn remove(&mut self, slot: &Arc<Slot>) {
        let Some(slots) = self.by_prefix.get_mut(&slot.prefix) else { return };
        slots.retain(|other| !Arc::ptr_eq(other, slot));
        if !slots.is_empty() {
            return;
        }
        self.by_prefix.remove(&slot.prefix);
        if let Some(count) = self.lengths.get_mut(&slot.prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&slot.prefix.len());
            }
        }
    }
}
