//! The write of an object together with what it takes and leaves.

use apimachinery::Status;
use store::{Committed, Op, Write, WriteError};

use super::ledger::Claim;
use crate::{Facts, Registry, expiry, failure};

/// How often other servers may be faster at the ports before this one gives up.
const MAX_RACES: usize = 64;

/// Why a write was not done.
pub(crate) enum CommitError {
    /// The object is not as it was read.
    Raced,
    /// Somebody else holds by now what the object was to hold.
    Taken,
    Failed(Status),
}

impl Registry {
    /// Commits one operation on an object, and the claim's in the same transaction. `operation` may be called again.
    pub(crate) async fn commit(
        &self,
        facts: &Facts,
        name: &str,
        claim: &Claim,
        operation: impl Fn() -> Op + Send + Sync,
    ) -> Result<Committed, CommitError> {
        let services = self.services();
        let _turn = match claim.has_ports() {
            true => Some(services.turn.lock().await),
            false => None,
        };
        let mut snapshot = self.store().snapshot();
        for _ in 0..MAX_RACES {
            let mut operations = vec![operation()];
            let key = operations[0].key().clone();
            operations.extend(claim.operations(&snapshot, &services.ports).ok_or(CommitError::Taken)?);
            let mut write = Write::transaction(operations);
            if facts.relaxed {
                write = write.relaxed();
            }
            if facts.storage_prefix == expiry::EVENTS {
                write = write.lasting(self.event_ttl());
            }
            match self.store().commit(write).await {
                Ok(committed) => return Ok(committed),
                Err(WriteError::Conflict { key: raced, .. }) if raced == key => return Err(CommitError::Raced),
                Err(WriteError::Conflict { .. }) => {
                    drop(snapshot);
                    snapshot = self.current().await.map_err(CommitError::Failed)?;
                }
                Err(error) => return Err(CommitError::Failed(failure::of_write(facts, name, &error))),
            }
        }
        Err(CommitError::Taken)
    }
}
