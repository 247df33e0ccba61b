//! How the store is, for health checks and metrics.

use crate::revision::Revision;

/// A moment's picture of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether writes can be accepted. `Ok` again as soon as a write after a full disk succeeds.
    pub writes: Writes,
    /// The newest revision.
    pub revision: Revision,
    /// The oldest revision that can be read or watched from.
    pub floor: Revision,
    /// Live keys, and the bytes of keys and values.
    pub keys: usize,
    pub live_bytes: u64,
    /// What the log and the checkpoint take on disk.
    pub disk_bytes: u64,
    /// Open watches.
    pub watches: usize,
}

/// What became of the latest write to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    #[default]
    Ok,
    /// The disk was full.
    NoSpace,
    /// A write could not be made durable; the store must be opened again.
    Poisoned,
    /// The store was closed.
    Stopped,
}
