//! One change of one key, shared by all who watch it.

use std::sync::Arc;

use crate::{
    key_value::{Key, KeyValue},
    revision::Revision,
};

/// Structs, pointers and allocator overhead of one event, rounded up.
const OVERHEAD_BYTES: usize = 256;

/// What happened to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was deleted.
    Delete,
}

/// One change. `current` is the key after it, `previous` the key before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The revision of the transaction; all changes of one transaction share it.
    pub revision: Revision,
    /// The key that changed.
    pub key: Key,
    /// The new version; `None` says the key was deleted.
    pub current: Option<Arc<KeyValue>>,
    /// The version before; `None` says the key did not exist.
    pub previous: Option<Arc<KeyValue>>,
}

impl Event {
    /// Put or delete.
    pub fn kind(&self) -> EventKind {
        match self.current {
            Some(_) => EventKind::Put,
            None => EventKind::Delete,
        }
    }

    /// Whether the key came into being with this change.
    pub fn is_create(&self) -> bool {
        self.current.is_some() && self.previous.is_none()
    }

    /// What keeping this event costs, in bytes: the version it alone keeps alive, and bookkeeping.
    pub(crate) fn weight(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |kv| kv.value.len());
        OVERHEAD_BYTES + self.key.len() + previous
    }

    /// Bytes of the key and the value it leaves; none, if it deletes.
    pub(crate) fn current_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |kv| (kv.key.len() + kv.value.len()) as u64)
    }

    /// Bytes of the key and the value it replaces or deletes; none, if it creates.
    pub(crate) fn previous_bytes(&self) -> u64 {
        self.previous.as_ref().map_or(0, |kv| (kv.key.len() + kv.value.len()) as u64)
    }

    /// Bytes of the value it brings.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |kv| kv.value.len() as u64)
    }

    /// What it costs while it waits for somebody, in bytes: also the version it brings.
    pub(crate) fn cost(&self) -> usize {
        self.weight() + self.current.as_ref().map_or(0, |kv| kv.value.len())
    }
}

/// All changes of one transaction, in the order of its operations.
pub type Changes = Arc<[Arc<Event>]>;
