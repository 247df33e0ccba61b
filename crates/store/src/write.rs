//! What a caller asks for: compares, operations, and how durable the answer must be.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    etcd::EtcdTrouble,
    event::{Changes, Event},
    form::Malformed,
    key_value::{Key, KeyValue},
    revision::Revision,
};

/// The most operations one transaction may hold.
pub const MAX_OPS: usize = 128;
/// The longest key.
pub const MAX_KEY_BYTES: usize = 4 * 1024;
/// The longest value; the same limit etcd sets to a request by default.
pub const MAX_VALUE_BYTES: usize = 1536 * 1024;

/// The most bytes of keys and values one transaction may write, and the most it may replace or delete: what is on disk
/// can be kept in proportion to what lives only if that does not change all at once.
pub const MAX_TRANSACTION_BYTES: usize = 8 << 20;

/// The bytes to store.
pub enum Value {
    /// As they are.
    Bytes(Bytes),
    /// Made once the revision of the write is known, so that the stored bytes can hold it.
    ///
    /// Called at most once, on the sequencer's thread, after the compares held: it must be quick,
    /// must not block, and should return bytes that own exactly their content. What it returns is
    /// what the log holds; it is never called again, not at recovery either. For etcd it is called with the revision
    /// 0, and [`Form`](crate::Form) makes what memory holds once the revision is known.
    Built(Box<dyn FnOnce(Revision) -> Bytes + Send>),
}

impl Value {
    /// A value made when its revision is known.
    pub fn built(build: impl FnOnce(Revision) -> Bytes + Send + 'static) -> Value {
        Value::Built(Box::new(build))
    }
}

impl<B: Into<Bytes>> From<B> for Value {
    fn from(bytes: B) -> Value {
        Value::Bytes(bytes.into())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Value::Built(_) => f.write_str("Built"),
        }
    }
}

/// One operation on one key. A transaction names a key at most once.
#[derive(Debug)]
pub enum Op {
    /// Fails if the key exists.
    Create { key: Key, value: Value },
    /// Fails unless the key's `mod_revision` is `expected`.
    Update { key: Key, expected: Revision, value: Value },
    /// Fails unless the key's `mod_revision` is `expected`.
    Delete { key: Key, expected: Revision },
    /// Creates or replaces, whatever is there.
    Put { key: Key, value: Value },
    /// Changes nothing, and fails unless the key's `mod_revision` is `expected`
    /// (`None`: unless the key is absent).
    Check { key: Key, expected: Option<Revision> },
}

impl Op {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Op::Create { key, .. }
            | Op::Update { key, .. }
            | Op::Delete { key, .. }
            | Op::Put { key, .. }
            | Op::Check { key, .. } => key,
        }
    }
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After it is synced to disk; many waiting writers share one sync. Seen by nobody before that.
    #[default]
    Durable,
    /// At once; it is synced together with the next durable write, or after
    /// [`StoreConfig::relaxed_delay`](crate::StoreConfig). It survives the death of the process at
    /// any moment. A power cut may lose the latest relaxed writes, always a suffix of the history,
    /// and their revisions are never given out again. For etcd it is the same as `Durable`.
    Relaxed,
}

/// How long what a write puts stays, where the store is etcd and goes on when its servers do not. A local store has one
/// server and ends with it: there it is the server that deletes what is over, as it does here what was written by others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is deleted.
    #[default]
    Unlimited,
    /// Etcd deletes it when it was not written again for so long, or a little longer; in whole seconds.
    Limited(Duration),
    /// As long as what it replaces would have stayed.
    Unchanged,
}

/// A transaction: all operations happen at one revision, or none.
#[derive(Debug)]
pub struct Write {
    pub ops: Vec<Op>,
    pub durability: Durability,
    pub lifetime: Lifetime,
}

impl Write {
    /// Creates a key that must not exist.
    pub fn create(key: impl Into<Key>, value: impl Into<Value>) -> Write {
        Write::transaction(vec![Op::Create { key: key.into(), value: value.into() }])
    }

    /// Replaces the version of a key the caller has read.
    pub fn update(key: impl Into<Key>, expected: Revision, value: impl Into<Value>) -> Write {
        Write::transaction(vec![Op::Update { key: key.into(), expected, value: value.into() }])
    }

    /// Deletes the version of a key the caller has read.
    pub fn delete(key: impl Into<Key>, expected: Revision) -> Write {
        Write::transaction(vec![Op::Delete { key: key.into(), expected }])
    }

    /// Creates or replaces a key.
    pub fn put(key: impl Into<Key>, value: impl Into<Value>) -> Write {
        Write::transaction(vec![Op::Put { key: key.into(), value: value.into() }])
    }

    /// Several operations at one revision; all compares are checked before anything changes.
    pub fn transaction(ops: Vec<Op>) -> Write {
        Write { ops, durability: Durability::Durable, lifetime: Lifetime::Unlimited }
    }

    /// The same write of what etcd is to delete by itself. See [`Lifetime::Limited`].
    pub fn lasting(mut self, ttl: Duration) -> Write {
        self.lifetime = Lifetime::Limited(ttl);
        self
    }

    /// The same write, acknowledged before it is synced. See [`Durability::Relaxed`].
    pub fn relaxed(mut self) -> Write {
        self.durability = Durability::Relaxed;
        self
    }
}

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision of the transaction; the revision read, if it had only checks.
    pub revision: Revision,
    /// One change per changing operation, in order.
    pub changes: Changes,
}

impl Committed {
    /// The version the first operation left, with its final bytes; `None` after a delete.
    pub fn current(&self) -> Option<&Arc<KeyValue>> {
        self.first()?.current.as_ref()
    }

    /// The version the first operation replaced or deleted.
    pub fn previous(&self) -> Option<&Arc<KeyValue>> {
        self.first()?.previous.as_ref()
    }

    fn first(&self) -> Option<&Arc<Event>> {
        self.changes.first()
    }
}

/// Why a write did not happen (or, for `Unknown`, `Poisoned` and `Stopped`, may not have).
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A compare did not hold; `current` is the key as it is now (`None`: it does not exist).
    #[error("key {:?} is not at the expected revision", String::from_utf8_lossy(key))]
    Conflict { key: Key, current: Option<Arc<KeyValue>> },
    /// Nothing was written; reads and watches go on, and writes succeed again once there is space.
    #[error("no space left on the disk of the store")]
    NoSpace,
    /// The disk refused to make a write durable. No write is accepted until the store is opened again.
    #[error("the store's log is unusable after a failed write to disk; restart to recover what is on disk")]
    Poisoned,
    /// It may have happened, or may happen yet: its answer was lost, or did not come in time. Never tried again by
    /// the store, because that could do it twice. With a revision, it did happen, and only was not seen in time.
    #[error("what became of the write is not known")]
    Unknown { revision: Option<Revision>, source: EtcdTrouble },
    /// It did not happen. It may when etcd is back.
    #[error("the store cannot write")]
    Unavailable(#[source] EtcdTrouble),
    /// The value has no form that others could read; nothing was written.
    #[error("the value of key {:?} cannot be stored", String::from_utf8_lossy(key))]
    Malformed { key: Key, source: Malformed },
    /// Some values cannot be read here, and what cannot be read cannot be written anew; nothing was.
    #[error(transparent)]
    Unreadable(UnreadableValues),
    /// The key does not begin as all keys of this store do.
    #[error("key {:?} is not of this store", String::from_utf8_lossy(key))]
    Foreign { key: Key },
    /// A key, a value or the number of operations is over its limit.
    #[error("{what} of {size} is over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// A transaction names this key twice.
    #[error("key {:?} stands twice in one transaction", String::from_utf8_lossy(key))]
    RepeatedKey { key: Key },
    /// A [`Value::Built`] panicked; nothing was written.
    #[error("building the value of key {:?} panicked", String::from_utf8_lossy(key))]
    BuildPanicked { key: Key },
    /// The store was closed.
    #[error("the store is closed")]
    Stopped,
}

/// Values in etcd that are not in memory, because they cannot be read here.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{first} ({others} more such values)")]
pub struct UnreadableValues {
    /// Of which key, and why.
    pub first: String,
    pub others: usize,
}
