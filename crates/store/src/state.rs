//! The state machine: the live keys, and the window of history behind them.
//!
//! A [`State`] is immutable and shared; the sequencer derives the next one. It holds the keys at
//! two revisions, `floor` (the oldest that can still be read) and `revision` (the newest), and all
//! changes between them. Any revision in the window is one of the two with changes applied or undone.

use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    event::{Changes, Event},
    index::Index,
    key_value::{Key, KeyValue},
    revision::Revision,
};

pub(crate) mod transaction;

pub(crate) use transaction::Transaction;

/// Live keys at one revision.
pub(crate) type Keys = OrdMap<Key, Arc<KeyValue>>;

/// Everything a reader can ask about, at one moment.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) revision: Revision,
    pub(crate) keys: Keys,
    /// The oldest revision that can be read or watched from.
    pub(crate) floor: Revision,
    /// The keys at `floor`.
    pub(crate) floor_keys: Keys,
    /// The changes in `(floor, revision]`. An empty entry marks a skip: the numbers between the
    /// entry before it and itself were given out and lost, or never used.
    pub(crate) history: OrdMap<Revision, Changes>,
    /// Bytes of the live keys and values.
    pub(crate) live_bytes: u64,
    /// What the history costs, by [`Event::weight`].
    pub(crate) history_weight: u64,
    /// Whether numbers without an entry are moments too, at which something else than these keys changed.
    pub(crate) is_shared: bool,
    /// By how much the keys shrank with the changes of the history, not counting those that grew.
    pub(crate) history_shrink: Shrink,
    /// Of the keys that are published; the hub's to give.
    pub(crate) index: Option<Arc<Index>>,
}

/// What changes took away: bytes of keys and values, and whole keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shrink {
    pub(crate) bytes: u64,
    pub(crate) keys: u64,
}

impl Shrink {
    pub(crate) fn of(event: &Event) -> Shrink {
        let bytes = event.previous_bytes().saturating_sub(event.current_bytes());
        Shrink { bytes, keys: u64::from(event.previous.is_some() && event.current.is_none()) }
    }
}

impl std::ops::AddAssign for Shrink {
    fn add_assign(&mut self, other: Shrink) {
        self.bytes += other.bytes;
        self.keys += other.keys;
    }
}

impl std::ops::SubAssign for Shrink {
    fn sub_assign(&mut self, other: Shrink) {
        self.bytes -= other.bytes;
        self.keys -= other.keys;
    }
}

impl State {
    /// A state whose window is empty: it starts at a checkpoint, or at nothing.
    pub(crate) fn at(revision: Revision, keys: Keys) -> State {
        let live_bytes = keys.values().map(|kv| size(kv)).sum();
        State {
            revision,
            floor: revision,
            floor_keys: keys.clone(),
            keys,
            history: OrdMap::new(),
            live_bytes,
            history_weight: 0,
            is_shared: false,
            history_shrink: Shrink::default(),
            index: None,
        }
    }

    /// The same where others count the revisions, and change other things at some of them.
    pub(crate) fn shared_at(revision: Revision, keys: Keys) -> State {
        State { is_shared: true, ..State::at(revision, keys) }
    }

    /// Moves to `revision` with these changes.
    pub(crate) fn push(&mut self, revision: Revision, changes: Changes) {
        debug_assert!(revision > self.revision, "revisions only grow");
        for event in changes.iter() {
            redo(&mut self.keys, event);
            self.live_bytes += event.current_bytes();
            self.live_bytes -= event.previous_bytes();
            self.history_weight += event.weight() as u64;
            self.history_shrink += Shrink::of(event);
        }
        self.history.insert(revision, changes);
        self.revision = revision;
    }

    /// Lets go of the oldest entry of the history; the floor moves up to it. False if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let Some((revision, _)) = self.history.get_min() else { return false };
        let revision = *revision;
        if let Some(changes) = self.history.remove(&revision) {
            for event in changes.iter() {
                redo(&mut self.floor_keys, event);
                self.history_weight -= event.weight() as u64;
                self.history_shrink -= Shrink::of(event);
            }
        }
        self.floor = revision;
        true
    }

    /// The revision the floor would move to next.
    pub(crate) fn oldest(&self) -> Option<Revision> {
        self.history.get_min().map(|(revision, _)| *revision)
    }

    /// Whether a reader may ask for this revision: it was really given out and is in the window.
    pub(crate) fn window(&self, revision: Revision) -> Result<(), OutOfWindow> {
        if revision > self.revision {
            return Err(OutOfWindow::Future { requested: revision, current: self.revision });
        }
        // Entries of our own are consecutive but for skips, and a skipped number names no moment.
        if revision == self.floor || (self.is_shared && revision > self.floor) || self.history.contains_key(&revision) {
            return Ok(());
        }
        Err(OutOfWindow::Compacted { requested: revision, floor: self.floor })
    }

    /// The keys as they were at a revision of the window.
    pub(crate) fn keys_at(&self, revision: Revision) -> Keys {
        let undo = self.revision.0 - revision.0;
        let apply = revision.0 - self.floor.0;
        if undo <= apply {
            let mut keys = self.keys.clone();
            for (_, changes) in self.history.range(revision.next()..).rev() {
                changes.iter().rev().for_each(|event| self::undo(&mut keys, event));
            }
            keys
        } else {
            let mut keys = self.floor_keys.clone();
            for (_, changes) in self.history.range(..=revision) {
                changes.iter().for_each(|event| redo(&mut keys, event));
            }
            keys
        }
    }
}

/// The revision asked for is not one that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfWindow {
    /// History up to `floor` was let go, or the number was skipped after an unclean stop.
    #[error("revision {requested} has been compacted; the oldest is {floor}")]
    Compacted { requested: Revision, floor: Revision },
    /// The store has not come that far.
    #[error("revision {requested} is in the future; the current one is {current}")]
    Future { requested: Revision, current: Revision },
}

fn redo(keys: &mut Keys, event: &Event) {
    set(keys, event, &event.current);
}

fn undo(keys: &mut Keys, event: &Event) {
    set(keys, event, &event.previous);
}

fn set(keys: &mut Keys, event: &Event, version: &Option<Arc<KeyValue>>) {
    match version {
        Some(kv) => keys.insert(kv.key.clone(), kv.clone()),
        None => keys.remove(&event.key),
    };
}

fn size(kv: &KeyValue) -> u64 {
    (kv.key.len() + kv.value.len()) as u64
}
