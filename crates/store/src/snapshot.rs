//! A consistent view of all keys at one revision.

use std::{io, ops::Bound, sync::Arc};

use crate::{
    backup::{self, Contents},
    index::Index,
    key_value::{Key, KeyValue},
    revision::Revision,
    seal::Seal,
    state::{Keys, State},
};

/// All keys as they were at [`Snapshot::revision`]. Costs a pointer, blocks nobody, never changes.
#[derive(Clone)]
pub struct Snapshot {
    revision: Revision,
    keys: Keys,
    /// Finds most of the keys sooner.
    index: Option<Arc<Index>>,
}

impl Snapshot {
    pub(crate) fn new(revision: Revision, keys: Keys) -> Snapshot {
        Snapshot { revision, keys, index: None }
    }

    /// The newest state.
    pub(crate) fn of(state: &State) -> Snapshot {
        Snapshot { revision: state.revision, keys: state.keys.clone(), index: state.index.clone() }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The moment it shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// One key.
    pub fn get(&self, key: &[u8]) -> Option<Arc<KeyValue>> {
        let newest = self.index.as_ref().and_then(|index| index.newest(key, self.revision));
        newest.or_else(|| self.keys.get(key).cloned())
    }

    /// The keys that begin with `prefix`, in order, from the first one after `start_after`.
    /// `limit` 0 is no limit.
    pub fn range(&self, prefix: &[u8], start_after: Option<&[u8]>, limit: usize) -> Page {
        let mut walk = self.walk(prefix, start_after);
        let limit = if limit == 0 { usize::MAX } else { limit };
        let items: Vec<_> = walk.by_ref().take(limit).cloned().collect();
        Page { more: walk.next().is_some(), items }
    }

    /// The same walk, one at a time, copying nothing.
    pub fn walk<'a>(&'a self, prefix: &'a [u8], start_after: Option<&[u8]>) -> impl Iterator<Item = &'a Arc<KeyValue>> {
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(Key::from(key)),
            _ => Bound::Included(Key::from(prefix)),
        };
        self.keys.range((start, Bound::Unbounded)).map(|(_, kv)| kv).take_while(move |kv| kv.key.starts_with(prefix))
    }

    /// Writes it in the form of a saved store, sealed as told: what [`restore`](crate::restore) makes a store from.
    pub fn save(&self, seal: Option<&dyn Seal>, out: &mut dyn io::Write) -> io::Result<Contents> {
        backup::save(self, seal, out)
    }

    /// How many keys begin with `prefix`.
    pub fn count(&self, prefix: &[u8]) -> usize {
        if prefix.is_empty() { self.keys.len() } else { self.walk(prefix, None).count() }
    }

    /// How many keys begin with `prefix` and come after `start_after`: what is left of a paged list.
    pub fn count_after(&self, prefix: &[u8], start_after: &[u8]) -> usize {
        self.walk(prefix, Some(start_after)).count()
    }
}

/// One answer of [`Snapshot::range`].
#[derive(Clone, Debug)]
pub struct Page {
    pub items: Vec<Arc<KeyValue>>,
    /// Whether there are keys beyond the limit.
    pub more: bool,
}
