//! The face of the store.

use std::{io, sync::Arc};

use crate::{
    backup::{self, Contents},
    config::StoreConfig,
    etcd::{ConnectError, Etcd, EtcdConfig, ReadError},
    health::Health,
    hub::Hub,
    local::{Local, recovery::Recovery},
    open_error::OpenError,
    revision::Revision,
    seal::Seal,
    snapshot::Snapshot,
    state::OutOfWindow,
    watch::Watch,
    write::{Committed, UnreadableValues, Write, WriteError},
};

/// What [`Store::savable`] found whole.
pub struct Savable {
    store: Store,
    snapshot: Snapshot,
}

impl Savable {
    /// The moment it shows.
    pub fn revision(&self) -> Revision {
        self.snapshot.revision()
    }

    /// Writes it in the form of a checkpoint, checksums included. Blocks the caller, nobody else.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<Contents> {
        backup::save(&self.snapshot, self.store.seal(), out)
    }
}

/// A store. Clones are the same store; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Local(Arc<Local>),
    Etcd(Arc<Etcd>),
}

impl Store {
    /// Opens the store in a folder, or makes one. Blocks while it reads what is there, and starts
    /// a thread of its own; needs no runtime.
    pub fn open(config: StoreConfig) -> Result<Store, OpenError> {
        Ok(Store { backend: Backend::Local(Arc::new(Local::open(config)?)) })
    }

    /// Opens the store on a disk in memory.
    #[cfg(feature = "failpoints")]
    pub fn open_on(disk: crate::sim::SimDisk, config: StoreConfig) -> Result<Store, OpenError> {
        Ok(Store { backend: Backend::Local(Arc::new(Local::open_on(Arc::new(disk), config)?)) })
    }

    /// Begins a store whose data is in etcd: reads all of it, and follows it from then on. The store's tasks run on
    /// the runtime of the caller.
    pub async fn connect(config: EtcdConfig) -> Result<Store, ConnectError> {
        Ok(Store { backend: Backend::Etcd(Arc::new(Etcd::connect(config).await?)) })
    }

    /// What opening found: a torn tail that was cut, and how much was read. With etcd there is nothing to recover.
    pub fn recovery(&self) -> &Recovery {
        match &self.backend {
            Backend::Local(local) => local.recovery(),
            Backend::Etcd(etcd) => etcd.recovery(),
        }
    }

    fn hub(&self) -> &Arc<Hub> {
        match &self.backend {
            Backend::Local(local) => local.hub(),
            Backend::Etcd(etcd) => etcd.hub(),
        }
    }

    /// Does a write, and answers when it is acknowledged by its [`Durability`](crate::Durability)
    /// and visible to every read and watch that follows. Waits (fairly) while too many others do.
    ///
    /// Dropping the future does not undo a write that was handed over already.
    pub async fn commit(&self, write: Write) -> Result<Committed, WriteError> {
        match &self.backend {
            Backend::Local(local) => local.commit(write).await,
            Backend::Etcd(etcd) => etcd.commit(write).await,
        }
    }

    /// All keys as far as this process knows. With a local store that is now. With etcd it may lag behind what others
    /// have written, never behind what was written by [`Store::commit`] here: see [`Store::current`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.hub().state())
    }

    /// All keys at a revision not older than any write acknowledged to anybody before the call.
    ///
    /// With a local store that is at once. With etcd a quorum is asked for its revision, by one question for all who
    /// wait, and the answer given when the state has come so far; an error says that it did not in time.
    pub async fn current(&self) -> Result<Snapshot, ReadError> {
        match &self.backend {
            Backend::Local(_) => Ok(self.snapshot()),
            Backend::Etcd(etcd) => etcd.current().await,
        }
    }

    /// All keys at `revision` or later: what somebody needs who has seen it at another server. `Future` says that
    /// nobody can have seen it; with etcd a quorum was asked.
    pub async fn not_before(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        let snapshot = self.snapshot();
        match &self.backend {
            _ if snapshot.revision() >= revision => Ok(snapshot),
            Backend::Local(_) => Err(ReadError::Future { wanted: revision, newest: snapshot.revision() }),
            Backend::Etcd(etcd) => etcd.not_before(revision).await,
        }
    }

    /// All keys at a revision of the history window. Costs time in proportion to the changes
    /// between it and the nearer end of the window.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, OutOfWindow> {
        let state = self.hub().state();
        state.window(revision)?;
        Ok(Snapshot::new(revision, state.keys_at(revision)))
    }

    /// The changes after `after` of the keys that begin with `prefix`.
    ///
    /// `Compacted` says the history no longer reaches back; `Future` that `after` was never given
    /// out. Works over a restart, as long as `after` is in the history window.
    pub fn watch(&self, prefix: &[u8], after: Revision) -> Result<Watch, OutOfWindow> {
        Watch::open(self.hub().clone(), prefix, after)
    }

    /// All keys as they are now, for a saved store: what cannot be read is in none.
    pub fn savable(&self) -> Result<Savable, UnreadableValues> {
        let snapshot = self.snapshot();
        if let Backend::Etcd(etcd) = &self.backend
            && let Some(unreadable) = etcd.unreadable(&snapshot)
        {
            return Err(unreadable);
        }
        Ok(Savable { store: self.clone(), snapshot })
    }

    fn seal(&self) -> Option<&dyn Seal> {
        match &self.backend {
            Backend::Local(local) => local.seal(),
            Backend::Etcd(etcd) => etcd.seal(),
        }
    }

    /// Lets go of the history before `revision`, which then is the oldest that can be read. Writes
    /// nothing by itself, and is forgotten if the store is opened again soon. Etcd keeps its own history until one of
    /// all servers compacts it, see [`EtcdConfig::compact_every`].
    pub async fn compact(&self, revision: Revision) -> Result<(), OutOfWindow> {
        match &self.backend {
            Backend::Local(local) => local.compact(revision).await,
            Backend::Etcd(etcd) => etcd.compact(revision).await,
        }
    }

    /// Compacts to the newest revision and writes everything anew: what was encrypted with an old key is encrypted
    /// with the first one, and nothing of before is left in the log. Answers when it is on disk.
    pub async fn rewrite(&self) -> Result<Revision, WriteError> {
        match &self.backend {
            Backend::Local(local) => local.rewrite().await,
            Backend::Etcd(etcd) => etcd.rewrite().await,
        }
    }

    /// Whether it deletes by itself what was written to last for a while: see
    /// [`Lifetime::Limited`](crate::Lifetime::Limited).
    pub fn keeps_time(&self) -> bool {
        matches!(self.backend, Backend::Etcd(_))
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.hub().state().revision
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        match &self.backend {
            Backend::Local(local) => local.health(),
            Backend::Etcd(etcd) => etcd.health(),
        }
    }

    /// Ends all watches, refuses further writes, and answers when everything is on disk and the
    /// folder is free for another. Reads go on.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Local(local) => local.close().await,
            Backend::Etcd(etcd) => etcd.close().await,
        }
    }
}
