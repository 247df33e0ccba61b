//! From which state a read is answered. With etcd, this server's memory may be a moment behind: what a client was
//! promised not to miss is waited for, and what it said it may miss is answered at once, even while etcd is away.

use std::time::Duration;

use apimachinery::Status;
use store::{ReadError, Revision, Snapshot};
use tokio::time::{Instant, timeout_at};

use crate::{Registry, failure, moved};

/// How long a read waits for a revision that is yet to come, as upstream does.
const FRESH_LIMIT: Duration = Duration::from_secs(3);

impl Registry {
    /// By the `resourceVersion` of a request: none is everything that was acknowledged, zero whatever is at hand.
    pub(crate) async fn state(&self, resource_version: &str) -> Result<Snapshot, Status> {
        match failure::parse_version(resource_version)? {
            0 if resource_version.is_empty() => self.current().await,
            0 => Ok(self.store().snapshot()),
            asked => self.at_least(asked).await,
        }
    }

    /// A state that is not older than this revision.
    pub(crate) async fn at_least(&self, revision: u64) -> Result<Snapshot, Status> {
        let reached = |snapshot: &Snapshot| snapshot.revision().0 >= revision;
        let snapshot = self.store().snapshot();
        if reached(&snapshot) {
            return Ok(snapshot);
        }
        let deadline = Instant::now() + FRESH_LIMIT;
        // What another server has given out already comes by itself, sooner so.
        match timeout_at(deadline, self.store().not_before(Revision(revision))).await {
            Ok(Ok(state)) => return Ok(state),
            Ok(Err(ReadError::Future { newest, .. })) if moved::is_of_before(&self.store().snapshot(), revision) => {
                return Err(Status::expired(format!("too old resource version: {revision} ({newest})")));
            }
            _ => {}
        }
        self.wait_for(revision, deadline).await;
        let snapshot = self.store().snapshot();
        if reached(&snapshot) { Ok(snapshot) } else { Err(failure::too_large_version(revision, snapshot.revision().0)) }
    }

    /// Follows the changes until this revision has come, or the deadline.
    async fn wait_for(&self, revision: u64, deadline: Instant) {
        let Ok(mut watch) = self.store().watch(b"", self.store().revision()) else { return };
        while self.store().revision() < Revision(revision) {
            match timeout_at(deadline, watch.next()).await {
                Ok(Ok(_)) => {}
                // Over, or the store ends.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}
