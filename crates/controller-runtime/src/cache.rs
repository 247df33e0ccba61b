//! The objects of one kind in one scope, as last seen, with the indexes every controller asks for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::{
    Entry, Key,
    subscription::{Pending, Subscription},
};

/// Entries of one kind by key, by namespace, by owner and by node. Written by its reflector only.
pub struct Cache {
    resource: String,
    state: RwLock<State>,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Arc<Entry>>,
    by_owner: HashMap<Arc<str>, BTreeSet<Key>>,
    by_node: HashMap<Arc<str>, BTreeSet<Key>>,
    /// Objects no owner controls.
    orphans: BTreeSet<Key>,
    subscribers: Vec<Weak<Pending>>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    synced: bool,
    /// The highest revision seen, in an object, a list or a bookmark.
    revision: u64,
    /// Changes, so that waiters look again also when a revision is no number.
    changes: u64,
}

impl Cache {
    pub(crate) fn new(resource: String) -> Self {
        Self { resource, state: RwLock::default(), progress: watch::Sender::new(Progress::default()) }
    }

    /// What is cached, for messages.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.state.read().entries.get(key).cloned()
    }

    pub fn len(&self) -> usize {
        self.state.read().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, by key.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.state.read().entries.values().cloned().collect()
    }

    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<Entry>> {
        let from = Key::new(namespace, "");
        let state = self.state.read();
        state
            .entries
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// Entries that have an owner of this uid, whether it controls them or not.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<Entry>> {
        let state = self.state.read();
        state.by_owner.get(uid).into_iter().flatten().filter_map(|key| state.entries.get(key).cloned()).collect()
    }

    /// Entries whose `spec.nodeName` is this.
    pub fn on_node(&self, node: &str) -> Vec<Arc<Entry>> {
        let state = self.state.read();
        state.by_node.get(node).into_iter().flatten().filter_map(|key| state.entries.get(key).cloned()).collect()
    }

    /// Entries of a namespace that no owner controls.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<Entry>> {
        let from = Key::new(namespace, "");
        let state = self.state.read();
        let keys = state.orphans.range((Bound::Included(from), Bound::Unbounded));
        keys.take_while(|key| &*key.namespace == namespace).filter_map(|key| state.entries.get(key).cloned()).collect()
    }

    /// A stream of changes from now on, beginning with all that is there.
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        let mut state = self.state.write();
        let pending = Arc::new(Pending::new(state.entries.keys().cloned()));
        state.subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        state.subscribers.push(Arc::downgrade(&pending));
        Subscription::new(self.clone(), pending)
    }

    pub fn is_synced(&self) -> bool {
        self.progress.borrow().synced
    }

    /// Returns when the first list is in. While the server cannot be reached, that is never.
    pub async fn synced(&self) {
        let mut progress = self.progress.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        drop(progress.wait_for(|progress| progress.synced).await);
    }

    /// The highest revision seen.
    pub fn revision(&self) -> u64 {
        self.progress.borrow().revision
    }

    /// Waits until `met` holds, looking again after each change; false if it does not within `limit`.
    pub async fn wait_until(&self, limit: Duration, met: impl Fn(&Self) -> bool) -> bool {
        let mut progress = self.progress.subscribe();
        let wait = async {
            loop {
                progress.borrow_and_update();
                if met(self) || progress.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    pub(crate) fn put(&self, entry: Arc<Entry>) {
        let revision = entry.header.resource_version.parse().unwrap_or(0);
        self.state.write().put(entry);
        self.advance(revision, false);
    }

    pub(crate) fn remove(&self, key: &Key, revision: u64) {
        self.state.write().remove(key);
        self.advance(revision, false);
    }

    pub(crate) fn bookmark(&self, revision: u64) {
        self.advance(revision, false);
    }

    /// The whole content, as a list gave it. Subscribers hear of the differences.
    pub(crate) fn replace(&self, entries: BTreeMap<Key, Arc<Entry>>, revision: u64) {
        let mut state = self.state.write();
        let gone: Vec<Key> = state.entries.keys().filter(|key| !entries.contains_key(key)).cloned().collect();
        for key in &gone {
            state.remove(key);
        }
        for entry in entries.into_values() {
            let same = state.entries.get(&entry.header.key).is_some_and(|old| {
                old.header.uid == entry.header.uid && old.header.resource_version == entry.header.resource_version
            });
            if !same {
                state.put(entry);
            }
        }
        drop(state);
        self.advance(revision, true);
    }

    fn advance(&self, revision: u64, synced: bool) {
        self.progress.send_modify(|progress| {
            progress.revision = progress.revision.max(revision);
            progress.synced |= synced;
            progress.changes = progress.changes.wrapping_add(1);
        });
    }
}

impl State {
    fn put(&mut self, entry: Arc<Entry>) {
        let key = entry.header.key.clone();
        for owner in &entry.header.owners {
            self.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        if !entry.header.node.is_empty() {
            self.by_node.entry(entry.header.node.clone()).or_default().insert(key.clone());
        }
        if entry.header.controller().is_none() {
            self.orphans.insert(key.clone());
        } else {
            self.orphans.remove(&key);
        }
        let old = self.entries.insert(key.clone(), entry.clone());
        if let Some(old) = &old {
            self.unindex(old, Some(&entry));
        }
        self.announce(&key, old);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(old) = self.entries.remove(key) {
            self.unindex(&old, None);
            self.orphans.remove(key);
            self.announce(key, Some(old));
        }
    }

    /// Takes out of the indexes what `old` had and `new` has not.
    fn unindex(&mut self, old: &Entry, new: Option<&Entry>) {
        let key = &old.header.key;
        for owner in &old.header.owners {
            if !new.is_some_and(|new| new.header.owners.iter().any(|o| o.uid == owner.uid)) {
                take_out(&mut self.by_owner, &owner.uid, key);
            }
        }
        if new.is_none_or(|new| new.header.node != old.header.node) {
            take_out(&mut self.by_node, &old.header.node, key);
        }
    }

    fn announce(&mut self, key: &Key, old: Option<Arc<Entry>>) {
        for subscriber in self.subscribers.iter().filter_map(Weak::upgrade) {
            subscriber.push(key, old.clone());
        }
    }
}

fn take_out(index: &mut HashMap<Arc<str>, BTreeSet<Key>>, value: &Arc<str>, key: &Key) {
    if let Some(keys) = index.get_mut(value) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(value);
        }
    }
}
