//! Work that runs beside requests and ends with the server.

use std::future::Future;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Named tasks tied to one token.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop }
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs until it is done or the server stops.
    pub(crate) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = work => tracing::trace!(name, "task done"),
                () = stop.cancelled() => tracing::trace!(name, "task stopped"),
            }
        });
    }
}
