//! Which API servers live on this store, as upstream's servers tell each other: a key for each address, written again
//! and again. Upstream lets etcd forget it by a lease; so it does here, and whoever sees a key unchanged for too
//! long removes it, for those that have none.

use std::{net::IpAddr, time::Duration};

use apimachinery::Status;
use serde_json::{Value, json};
use store::{Revision, Write, WriteError};

use crate::{Registry, failure};

/// How long a server is taken to live that says so no more, as upstream has it.
const MASTER_TTL: Duration = Duration::from_secs(15);
const MASTERS: &[u8] = b"/registry/masterleases/";

/// An API server that says it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    pub address: IpAddr,
    /// Changes whenever it says so.
    pub revision: u64,
}

fn key(address: IpAddr) -> Vec<u8> {
    [MASTERS, address.to_string().as_bytes()].concat()
}

impl Registry {
    /// Says that the server at this address lives.
    pub async fn renew_master(&self, address: IpAddr) -> Result<(), Status> {
        let key = key(address);
        let before = self.store().snapshot().get(&key).and_then(|kv| {
            let tree: Value = serde_json::from_slice(&kv.value).ok()?;
            tree["metadata"]["generation"].as_i64()
        });
        // Counted as upstream counts, so that every write changes the value.
        let value = json!({
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {"generation": before.unwrap_or_default().wrapping_add(1)},
            "subsets": [{"addresses": [{"ip": address.to_string()}]}],
        });
        let write = Write::put(key, value.to_string()).lasting(MASTER_TTL).relaxed();
        self.store().commit(write).await.map(drop).map_err(|error| failure::of_store(&error))
    }

    /// All that said so and did not take it back, by address.
    pub async fn masters(&self) -> Result<Vec<Master>, Status> {
        let snapshot = self.current().await?;
        let found = snapshot.walk(MASTERS, None).filter_map(|kv| {
            let address = std::str::from_utf8(&kv.key[MASTERS.len()..]).ok()?.parse().ok()?;
            Some(Master { address, revision: kv.mod_revision.0 })
        });
        Ok(found.collect())
    }

    /// Takes a server out that has not said so since. False if it has.
    pub async fn remove_master(&self, master: Master) -> Result<bool, Status> {
        let write = Write::delete(key(master.address), Revision(master.revision)).relaxed();
        match self.store().commit(write).await {
            Ok(_) => Ok(true),
            Err(WriteError::Conflict { current, .. }) => Ok(current.is_none()),
            Err(error) => Err(failure::of_store(&error)),
        }
    }
}
