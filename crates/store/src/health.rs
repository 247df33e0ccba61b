//! How the store is, for health checks and metrics.

use std::time::Duration;

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
    /// What the log and the checkpoint take on disk; what the database of the member that answers takes.
    pub disk_bytes: u64,
    /// Open watches.
    pub watches: usize,
    /// How it is between us and etcd; `None` for a local store.
    pub etcd: Option<EtcdHealth>,
}

/// How it is between us and etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdHealth {
    pub cluster: u64,
    /// Where changes come from now; `None` while nobody tells them.
    pub following: Option<String>,
    /// How long ago a quorum of the members answered.
    pub quorum_seen: Option<Duration>,
    /// For how long changes that etcd has made have been missing here; `None` when nothing is missing.
    pub behind: Option<Duration>,
    pub alarms: Vec<EtcdAlarm>,
    /// In the order of the configuration.
    pub endpoints: Vec<EndpointHealth>,
    /// What went wrong last, and is not over.
    pub trouble: Option<String>,
    /// Nothing will be well again without a new start: etcd's data is no longer the data this store knows.
    pub is_over: bool,
}

impl EtcdHealth {
    /// A quorum that was silent for longer than this is called lost.
    pub const QUORUM_PATIENCE: Duration = Duration::from_secs(25);

    /// Whether reads and writes can be expected to work.
    pub fn is_well(&self) -> bool {
        let quorum = self.quorum_seen.is_some_and(|ago| ago <= Self::QUORUM_PATIENCE);
        quorum && self.following.is_some() && self.alarms.is_empty() && !self.is_over
    }
}

/// One address of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointHealth {
    pub endpoint: String,
    /// What was wrong with it when it was last used; `None` when nothing was.
    pub trouble: Option<String>,
}

/// What a member complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdAlarm {
    /// Its database has come to its quota: etcd takes no writes until it is compacted, defragmented and disarmed.
    NoSpace { member: u64 },
    /// Its data differs from the others'.
    Corrupt { member: u64 },
}

/// What became of the latest write to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    #[default]
    Ok,
    /// The disk was full, or etcd's database at its quota.
    NoSpace,
    /// A write could not be made durable; the store must be opened again.
    Poisoned,
    /// Etcd cannot be reached, has no quorum, or no longer has the data this store knows.
    Unavailable,
    /// The store was closed.
    Stopped,
}
