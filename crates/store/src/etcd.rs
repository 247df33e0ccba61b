//! The state machine fed by etcd: a watch brings its changes, a transaction writes them there.
//!
//! What etcd holds is what counts; the [`State`](crate::state::State) is its image in memory, some moments behind.

use std::sync::Arc;

use crate::{
    health::Health,
    hub::Hub,
    local::recovery::Recovery,
    revision::Revision,
    seal::Seal,
    snapshot::Snapshot,
    state::OutOfWindow,
    write::{Committed, Write, WriteError},
};

mod config;
mod trouble;

pub use config::{EtcdConfig, EtcdIdentity, EtcdTls};
pub use trouble::{Cause, ConnectError, EtcdTrouble, ReadError};

pub(crate) struct Etcd {
    hub: Arc<Hub>,
    recovery: Recovery,
}

impl Etcd {
    pub(crate) async fn connect(_config: EtcdConfig) -> Result<Etcd, ConnectError> {
        Err(ConnectError::NotYet)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) fn seal(&self) -> Option<&dyn Seal> {
        None
    }

    pub(crate) async fn commit(&self, _write: Write) -> Result<Committed, WriteError> {
        Err(WriteError::Stopped)
    }

    pub(crate) async fn current(&self) -> Result<Snapshot, ReadError> {
        Err(ReadError::Stopped)
    }

    pub(crate) async fn not_before(&self, _revision: Revision) -> Result<Snapshot, ReadError> {
        Err(ReadError::Stopped)
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), OutOfWindow> {
        self.hub.state().window(revision)
    }

    pub(crate) async fn rewrite(&self) -> Result<Revision, WriteError> {
        Err(WriteError::Stopped)
    }

    pub(crate) fn health(&self) -> Health {
        unreachable!("nobody can connect yet")
    }

    pub(crate) async fn close(&self) {}
}
