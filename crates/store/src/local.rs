//! The state machine on a log in a local folder.
//!
//! One thread, the sequencer, owns the log and decides everything; callers hand it writes through a
//! bounded queue and read what it publishes in the hub. A second backend would feed the same
//! [`State`](crate::state::State) and the same [`Hub`] from its own source.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    config::StoreConfig,
    health::{Health, Writes},
    hub::Hub,
    open_error::OpenError,
    revision::Revision,
    seal::Seal,
    state::OutOfWindow,
    write::{Committed, Write, WriteError},
};

mod batch;
pub(crate) mod checkpoint;
mod checkpointer;
pub(crate) mod disk;
mod frame;
mod gauges;
pub(crate) mod log;
pub(crate) mod pace;
mod pack;
mod patch;
mod queue;
pub(crate) mod record;
pub(crate) mod recovery;
mod room;
mod segment;
mod sequencer;
mod tail;
mod varint;

#[cfg(test)]
mod tests;

use disk::{Disk, Folder};
use gauges::Gauges;
use queue::{Chore, Queue, Request};
use recovery::Recovery;
use sequencer::Sequencer;

pub(crate) struct Local {
    hub: Arc<Hub>,
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    recovery: Recovery,
    seal: Option<Arc<dyn Seal>>,
    sequencer: Mutex<Option<JoinHandle<()>>>,
}

impl Local {
    pub(crate) fn open(config: StoreConfig) -> Result<Local, OpenError> {
        let folder = Folder::open(&config.dir)?;
        Local::open_on(Arc::new(folder), config)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Local, OpenError> {
        let recovered = recovery::recover(disk, &config)?;
        let recovery = recovered.report.clone();
        let hub = Arc::new(Hub::new(recovered.state.clone()));
        let queue = Arc::new(Queue::new());
        let gauges = Arc::new(Gauges::default());
        let seal = config.seal.clone();
        let mut sequencer = Sequencer::new(recovered, config, hub.clone(), queue.clone(), gauges.clone());
        sequencer.begin();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || sequencer.run())
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Local { hub, queue, gauges, recovery, seal, sequencer: Mutex::new(Some(thread)) })
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) async fn commit(&self, write: Write) -> Result<Committed, WriteError> {
        let place = self.queue.place().await?;
        let (answer, answered) = oneshot::channel();
        self.queue.push(Request { write, answer, _place: place })?;
        answered.await.unwrap_or(Err(WriteError::Stopped))
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), OutOfWindow> {
        self.hub.state().window(revision)?;
        let (done, waiting) = oneshot::channel();
        self.queue.compact(revision, done);
        // A store that is closed meanwhile forgets its history anyway.
        waiting.await.ok();
        Ok(())
    }

    pub(crate) fn seal(&self) -> Option<&dyn Seal> {
        self.seal.as_deref()
    }

    pub(crate) async fn rewrite(&self) -> Result<Revision, WriteError> {
        let (done, waiting) = oneshot::channel();
        self.queue.chore(Chore::Rewrite(done));
        waiting.await.unwrap_or(Err(WriteError::Stopped))
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.hub.state();
        Health {
            writes: if self.queue.is_stopped() { Writes::Stopped } else { self.gauges.writes() },
            revision: state.revision,
            floor: state.floor,
            keys: state.keys.len(),
            live_bytes: state.live_bytes,
            disk_bytes: self.gauges.disk_bytes.load(Ordering::Relaxed),
            watches: self.hub.watch_count(),
            etcd: None,
        }
    }

    pub(crate) async fn close(&self) {
        let (done, waiting) = oneshot::channel();
        self.queue.close(Some(done));
        // An error says that the sequencer is gone already.
        waiting.await.ok();
    }
}

impl Drop for Local {
    /// Waits for the sequencer's last sync, so that the folder can be opened again at once.
    fn drop(&mut self) {
        self.queue.close(None);
        if let Some(thread) = self.sequencer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's sequencer panicked");
        }
    }
}
