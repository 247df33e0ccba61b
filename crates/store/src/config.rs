//! Where a store lives and how much it keeps.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::seal::Seal;

/// Settings of a local store. `StoreConfig::new(dir)` has the defaults.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder of the store; made (0700) if it is not there. One process at a time.
    pub dir: PathBuf,
    /// The most bytes of history kept for watches and past reads, on top of an eighth of the live data.
    pub history_bytes: u64,
    /// The most transactions of history kept.
    pub history_revisions: usize,
    /// How often the history older than the last such moment is let go; `None`: only by its bounds.
    pub compact_every: Option<Duration>,
    /// The longest a relaxed write waits for its sync. The kernel writes back dirty pages after
    /// 30 seconds by itself, so a shorter delay costs disk writes and a longer one gains nothing.
    pub relaxed_delay: Duration,
    /// Relaxed writes that come closer to each other than this are gathered, and compressed together.
    pub gather_within: Duration,
    /// The size at which the log starts its next file.
    pub segment_bytes: u64,
    /// A checkpoint is written when it frees this much, and at least half of the live data; sooner, if there is little
    /// room left.
    pub checkpoint_bytes: u64,
    /// All files together have at most three times the live data and this. A transaction may change an eighth of it.
    pub slack_bytes: u64,
    /// What encrypts values on disk.
    pub seal: Option<Arc<dyn Seal>>,
}

impl StoreConfig {
    /// The defaults, in this folder.
    pub fn new(dir: impl Into<PathBuf>) -> StoreConfig {
        StoreConfig {
            dir: dir.into(),
            history_bytes: 16 << 20,
            history_revisions: 100_000,
            compact_every: Some(Duration::from_secs(300)),
            relaxed_delay: Duration::from_secs(30),
            gather_within: Duration::from_millis(50),
            segment_bytes: 4 << 20,
            checkpoint_bytes: 8 << 20,
            slack_bytes: 64 << 20,
            seal: None,
        }
    }
}
