//! Changes of a cache, coalesced: a subscriber that is slow hears of each object once, not of each revision, so
//! what waits for it is bounded by the number of objects.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Cache, Entry, Key};

/// An object is other than when this subscriber last looked. An object deleted and made anew in between is one
/// change, from one uid to another. One that was made and deleted in between is gone, and `old` is what it was last: who
/// made it has to hear that it is gone.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Key,
    pub old: Option<Arc<Entry>>,
    pub new: Option<Arc<Entry>>,
}

impl Change {
    /// The newest there is to know of the object.
    pub fn entry(&self) -> Option<&Arc<Entry>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// What was there and what is there now, for those whose watchers must hear of both (a pod that moves from one
    /// owner to another concerns both).
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.old.iter().chain(self.new.iter())
    }
}

pub(crate) struct Pending {
    waiting: Mutex<Waiting>,
    notify: Notify,
}

struct Waiting {
    order: VecDeque<Key>,
    old: HashMap<Key, Before>,
}

/// What an object was before the changes that wait.
#[derive(Default)]
struct Before {
    /// Before the first: what the subscriber knows.
    first: Option<Arc<Entry>>,
    /// Before the latest.
    latest: Option<Arc<Entry>>,
}

impl Pending {
    pub(crate) fn new(present: impl Iterator<Item = Key>) -> Self {
        let order: VecDeque<Key> = present.collect();
        let old = order.iter().map(|key| (key.clone(), Before::default())).collect();
        Self { waiting: Mutex::new(Waiting { order, old }), notify: Notify::new() }
    }

    pub(crate) fn push(&self, key: &Key, old: Option<Arc<Entry>>) {
        let mut waiting = self.waiting.lock();
        if let Some(before) = waiting.old.get_mut(key) {
            before.latest = old;
        } else {
            waiting.order.push_back(key.clone());
            waiting.old.insert(key.clone(), Before { first: old.clone(), latest: old });
        }
        drop(waiting);
        self.notify.notify_one();
    }

    fn pop(&self) -> Option<(Key, Before)> {
        let mut waiting = self.waiting.lock();
        let key = waiting.order.pop_front()?;
        let before = waiting.old.remove(&key).unwrap_or_default();
        Some((key, before))
    }
}

/// One subscriber's changes. It ends only by being dropped.
pub struct Subscription {
    cache: Arc<Cache>,
    pending: Arc<Pending>,
}

impl Subscription {
    pub(crate) fn new(cache: Arc<Cache>, pending: Arc<Pending>) -> Self {
        Self { cache, pending }
    }

    /// The next change. Cancel safe.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.try_next() {
                return change;
            }
            self.pending.notify.notified().await;
        }
    }

    /// The next change if one waits.
    pub fn try_next(&mut self) -> Option<Change> {
        loop {
            let (key, Before { first, latest }) = self.pending.pop()?;
            let new = self.cache.get(&key);
            let old = if new.is_none() { first.or(latest) } else { first };
            // Announced again after it was already seen.
            let same = match (&old, &new) {
                (None, None) => true,
                (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                _ => false,
            };
            if !same {
                return Some(Change { key, old, new });
            }
        }
    }
}
