//! A controller's own writes that its listers may not show yet.
//!
//! A reconcile that acts on a lister which lags behind the controller's own writes creates things twice. So each
//! write is noted under the key it was made for, and the next reconcile of the key first waits until the listers
//! show it. After a restart the listers begin with a list newer than all earlier writes, so nothing need be kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{Cache, Key};

/// How long a lister may lag before the reconcile gives up and comes back later.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(10);

/// Writes awaited, by the key whose reconcile made them.
#[derive(Default)]
pub struct Ledger {
    writes: Mutex<HashMap<Key, Vec<Write>>>,
}

#[derive(Clone)]
struct Write {
    cache: Arc<Cache>,
    awaited: Awaited,
}

#[derive(Clone)]
enum Awaited {
    /// A created or changed object: the revision it got.
    Revision(u64),
    /// A deleted object: not there, being deleted, or another of the same name.
    Gone { object: Key, uid: Arc<str> },
}

impl Write {
    fn is_seen(&self) -> bool {
        match &self.awaited {
            Awaited::Revision(revision) => self.cache.revision() >= *revision,
            Awaited::Gone { object, uid } => {
                self.cache.get(object).is_none_or(|entry| entry.header.uid != *uid || entry.header.deleting)
            }
        }
    }
}

impl Ledger {
    /// The reconcile of `key` created or changed an object that `cache` will show at this resource version.
    pub fn wrote(&self, key: &Key, cache: &Arc<Cache>, resource_version: Option<&str>) {
        // A version that is no number cannot be compared, as an API server of before v1.35 may have them.
        if let Some(revision) = resource_version.and_then(|version| version.parse().ok()) {
            self.note(key, cache, Awaited::Revision(revision));
        }
    }

    /// The reconcile of `key` deleted an object.
    pub fn deleted(&self, key: &Key, cache: &Arc<Cache>, object: Key, uid: &str) {
        self.note(key, cache, Awaited::Gone { object, uid: Arc::from(uid) });
    }

    fn note(&self, key: &Key, cache: &Arc<Cache>, awaited: Awaited) {
        let write = Write { cache: cache.clone(), awaited };
        let mut writes = self.writes.lock();
        let noted = writes.entry(key.clone()).or_default();
        noted.retain(|write| !write.is_seen());
        noted.push(write);
    }

    /// Waits until all writes noted for `key` are seen; false if some are not within [`SETTLE_LIMIT`].
    pub async fn settled(&self, key: &Key) -> bool {
        let noted = self.writes.lock().get(key).cloned().unwrap_or_default();
        for write in noted {
            if !write.cache.wait_until(SETTLE_LIMIT, |_| write.is_seen()).await {
                return false;
            }
        }
        let mut writes = self.writes.lock();
        if let Some(noted) = writes.get_mut(key) {
            noted.retain(|write| !write.is_seen());
            if noted.is_empty() {
                writes.remove(key);
            }
        }
        true
    }
}
