//! The note in etcd that a cluster is being moved, or was moved away.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use store::{Snapshot, Store, Write, WriteError};

use super::Direction;

/// Among what concerns the servers and not the cluster: never copied.
pub(super) const KEY: &[u8] = b"/registry/knarr.io/move";

/// What is moved, and where to. While it is there, no server serves the cluster in this etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Note {
    pub(super) to: Direction,
    /// `/var/lib/knarr on host-1`
    pub(super) folder: String,
}

impl Note {
    pub(crate) fn read(snapshot: &Snapshot) -> anyhow::Result<Option<Note>> {
        let Some(found) = snapshot.get(KEY) else { return Ok(None) };
        serde_json::from_slice(&found.value).context("the note of a move in etcd cannot be read")
    }

    /// Whether the note is this one already; fails if it is another.
    pub(super) fn is_or_is_free(&self, snapshot: &Snapshot, prefix: &str) -> anyhow::Result<bool> {
        match Note::read(snapshot)? {
            None => Ok(false),
            Some(found) if found == *self => Ok(true),
            Some(found) => bail!(found.refusal(prefix)),
        }
    }

    pub(super) async fn write(&self, etcd: &Store) -> anyhow::Result<()> {
        match etcd.commit(Write::create(KEY, serde_json::to_vec(self)?)).await {
            Err(WriteError::Conflict { .. }) => bail!("another move begins at this moment"),
            written => written.map(drop).context("write to etcd"),
        }
    }

    pub(super) async fn remove(etcd: &Store) -> anyhow::Result<()> {
        let Some(found) = etcd.current().await?.get(KEY) else { return Ok(()) };
        etcd.commit(Write::delete(KEY, found.mod_revision)).await.map(drop).context("write to etcd")
    }

    /// Why the cluster in etcd cannot be used, and what is to be done.
    pub(crate) fn refusal(&self, prefix: &str) -> String {
        let (prefix, folder) = (prefix.trim_matches('/'), &self.folder);
        match self.to {
            Direction::ToEtcd => format!(
                "the move of the cluster from {folder} to /{prefix} in etcd has not ended: run `knarr store migrate --to \
                 etcd` there again, or give it up there by `knarr store migrate --give-up`"
            ),
            Direction::ToLocal => format!(
                "the cluster of /{prefix} in etcd was moved to {folder}, or is being moved: start the server there \
                 without --datastore-endpoint. If the move has not ended, run `knarr store migrate --to local` there \
                 again, or give it up there by `knarr store migrate --give-up`. What is left in etcd is old; `etcdctl del \
                 --prefix /{prefix}/` makes room for a cluster"
            ),
        }
    }
}
