//! A map that forgets what was used longest ago.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

pub(super) struct Lru<K, V> {
    limit: usize,
    tick: u64,
    entries: HashMap<K, (u64, V)>,
    by_use: BTreeMap<u64, K>,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, tick: 0, entries: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub(super) fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.tick += 1;
        let tick = self.tick;
        if let Some((used, _)) = self.entries.get(key) {
            self.by_use.remove(used);
        } else if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_use.insert(tick, key.clone());
        let entry = self.entries.entry(key.clone()).or_insert_with(|| (tick, make()));
        entry.0 = tick;
        &mut entry.1
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((used, _)) = self.entries.remove(key) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(2);
        lru.get_or_insert_with(&"a", || 1);
        lru.get_or_insert_with(&"b", || 2);
        lru.get_or_insert_with(&"a", || 9);
        lru.get_or_insert_with(&"c", || 3);
        assert_eq!(*lru.get_or_insert_with(&"a", || 7), 1, "a was used after b, so b went");
        assert_eq!(*lru.get_or_insert_with(&"b", || 8), 8);
        assert_eq!(lru.entries.len(), lru.by_use.len());
    }
}
