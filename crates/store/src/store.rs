//! The face of the store.

use std::{io, sync::Arc};

use crate::{
    backup::{self, Contents},
    config::StoreConfig,
    health::Health,
    local::{Local, recovery::Recovery},
    open_error::OpenError,
    revision::Revision,
    snapshot::Snapshot,
    state::OutOfWindow,
    watch::Watch,
    write::{Committed, Write, WriteError},
};

/// A store. Clones are the same store; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    local: Arc<Local>,
}

impl Store {
    /// Opens the store in a folder, or makes one. Blocks while it reads what is there, and starts
    /// a thread of its own; needs no runtime.
    pub fn open(config: StoreConfig) -> Result<Store, OpenError> {
        Ok(Store { local: Arc::new(Local::open(config)?) })
    }

    /// Opens the store on a disk in memory.
    #[cfg(feature = "failpoints")]
    pub fn open_on(disk: crate::sim::SimDisk, config: StoreConfig) -> Result<Store, OpenError> {
        Ok(Store { local: Arc::new(Local::open_on(Arc::new(disk), config)?) })
    }

    /// What opening found: a torn tail that was cut, and how much was read.
    pub fn recovery(&self) -> &Recovery {
        self.local.recovery()
    }

    /// Does a write, and answers when it is acknowledged by its [`Durability`](crate::Durability)
    /// and visible to every read and watch that follows. Waits (fairly) while too many others do.
    ///
    /// Dropping the future does not undo a write that was handed over already.
    pub async fn commit(&self, write: Write) -> Result<Committed, WriteError> {
        self.local.commit(write).await
    }

    /// All keys now.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.local.hub().state();
        Snapshot::new(state.revision, state.keys.clone())
    }

    /// All keys at a revision of the history window. Costs time in proportion to the changes
    /// between it and the nearer end of the window.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, OutOfWindow> {
        let state = self.local.hub().state();
        state.window(revision)?;
        Ok(Snapshot::new(revision, state.keys_at(revision)))
    }

    /// The changes after `after` of the keys that begin with `prefix`.
    ///
    /// `Compacted` says the history no longer reaches back; `Future` that `after` was never given
    /// out. Works over a restart, as long as `after` is in the history window.
    pub fn watch(&self, prefix: &[u8], after: Revision) -> Result<Watch, OutOfWindow> {
        Watch::open(self.local.hub().clone(), prefix, after)
    }

    /// Writes all keys as they are now in the form of a checkpoint, checksums included. Blocks the caller, nobody else.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<Contents> {
        backup::save(&self.snapshot(), self.local.seal(), out)
    }

    /// Lets go of the history before `revision`, which then is the oldest that can be read. Writes
    /// nothing by itself, and is forgotten if the store is opened again soon.
    pub async fn compact(&self, revision: Revision) -> Result<(), OutOfWindow> {
        self.local.compact(revision).await
    }

    /// Compacts to the newest revision and writes everything anew: what was encrypted with an old key is encrypted
    /// with the first one, and nothing of before is left in the log. Answers when it is on disk.
    pub async fn rewrite(&self) -> Result<Revision, WriteError> {
        self.local.rewrite().await
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.local.hub().state().revision
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.local.health()
    }

    /// Ends all watches, refuses further writes, and answers when everything is on disk and the
    /// folder is free for another. Reads go on.
    pub async fn close(&self) {
        self.local.close().await;
    }
}
