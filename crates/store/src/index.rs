//! The newest version of every key, by hash: what a get looks at before it walks the ordered keys.
//!
//! It is not of a moment, as a [`State`](crate::state::State) is, and need not be: a version that came to be at or before
//! the revision of a snapshot, and is the newest at some later moment, is the one the snapshot shows. Whoever finds none,
//! or a later one, asks the snapshot itself. So all that matters is that a change is in the index before a state that
//! has it can be read; [`Hub::publish`](crate::hub::Hub::publish) sees to that.

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::{event::Event, key_value::KeyValue, revision::Revision, state::Keys};

/// So many that two readers hardly meet, and that none is large when it has to grow.
const SHARDS: usize = 256;

pub(crate) struct Index {
    hasher: RandomState,
    shards: Box<[RwLock<HashSet<Newest, RandomState>>]>,
}

/// Found by its key.
struct Newest(Arc<KeyValue>);

impl Borrow<[u8]> for Newest {
    fn borrow(&self) -> &[u8] {
        &self.0.key
    }
}

impl Hash for Newest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key[..].hash(state);
    }
}

impl PartialEq for Newest {
    fn eq(&self, other: &Newest) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Newest {}

impl Index {
    pub(crate) fn of(keys: &Keys) -> Index {
        let hasher = RandomState::default();
        let shards = (0..SHARDS).map(|_| RwLock::new(HashSet::with_hasher(hasher))).collect();
        let index = Index { hasher, shards };
        keys.values().for_each(|kv| index.put(kv));
        index
    }

    fn shard(&self, key: &[u8]) -> &RwLock<HashSet<Newest, RandomState>> {
        /// The sets themselves use the lowest and the highest bits.
        const SHIFT: u32 = 40;
        &self.shards[(self.hasher.hash_one(key) >> SHIFT) as usize % SHARDS]
    }

    /// The newest version of the key, if it is not newer than that.
    pub(crate) fn newest(&self, key: &[u8], at: Revision) -> Option<Arc<KeyValue>> {
        let shard = self.shard(key).read();
        shard.get(key).filter(|newest| newest.0.mod_revision <= at).map(|newest| newest.0.clone())
    }

    pub(crate) fn apply(&self, event: &Event) {
        match &event.current {
            Some(kv) => self.put(kv),
            None => {
                let gone = self.shard(&event.key).write().take(&event.key[..]);
                drop(gone);
            }
        }
    }

    fn put(&self, kv: &Arc<KeyValue>) {
        let before = self.shard(&kv.key).write().replace(Newest(kv.clone()));
        // Freeing it is not done under the lock.
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::state::transaction;

    #[test]
    fn a_snapshot_finds_only_what_it_shows() {
        let mut state = crate::state::State::at(Revision(1), Keys::new());
        let index = Index::of(&state.keys);
        let mut change = |revision, value: Option<&'static str>| {
            let event = transaction::event(&state, Revision(revision), b"k"[..].into(), value.map(Into::into));
            index.apply(&event);
            state.push(Revision(revision), [Arc::new(event)].into());
        };
        change(2, Some("a"));
        assert!(index.newest(b"k", Revision(1)).is_none());
        assert_eq!(index.newest(b"k", Revision(2)).unwrap().value, "a");
        change(3, Some("b"));
        assert!(index.newest(b"k", Revision(2)).is_none());
        assert_eq!(index.newest(b"k", Revision(9)).unwrap().value, "b");
        change(4, None);
        assert!(index.newest(b"k", Revision(9)).is_none());
        // It is filled with what is there, and tells keys apart.
        let keys: Keys = (0..5000u32)
            .map(|n| {
                let key: crate::Key = n.to_string().as_bytes().into();
                let event = transaction::event(&state, Revision(5), key.clone(), Some(n.to_string().into()));
                (key, event.current.unwrap())
            })
            .collect();
        let index = Index::of(&keys);
        for n in 0..5000u32 {
            assert_eq!(index.newest(n.to_string().as_bytes(), Revision(5)).unwrap().value, n.to_string());
        }
        assert!(index.newest(b"5000", Revision(5)).is_none());
    }
}
