//! Named tasks tied to shutdown: the one place that spawns.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// A group of tasks that end together. Cheap to clone; clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    shutdown: CancellationToken,
    tracker: TaskTracker,
    runtime: Handle,
}

/// A task of a group. Dropping it lets the task go on.
#[derive(Debug)]
pub struct Task<T = ()> {
    handle: JoinHandle<Option<T>>,
}

impl Tasks {
    /// Must be called within a tokio runtime; tasks run there.
    pub fn new() -> Self {
        Self { shutdown: CancellationToken::new(), tracker: TaskTracker::new(), runtime: Handle::current() }
    }

    /// A group that ends with this one, or before it.
    pub fn child(&self) -> Self {
        Self { shutdown: self.shutdown.child_token(), tracker: TaskTracker::new(), runtime: self.runtime.clone() }
    }

    /// Runs the future until it ends or the group is stopped, when it is dropped at its next await. A panic is
    /// logged and ends this task only.
    pub fn spawn<F>(&self, name: &str, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let shutdown = self.shutdown.clone();
        self.start(name, async move { shutdown.run_until_cancelled(future).await })
    }

    /// Runs a future that ends by itself soon after the token it is given is cancelled.
    pub fn spawn_graceful<F>(&self, name: &str, make: impl FnOnce(CancellationToken) -> F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let future = make(self.shutdown.clone());
        self.start(name, async move { Some(future.await) })
    }

    /// Runs blocking code on a thread made for it. It cannot be interrupted; shutdown waits for it, within bounds.
    pub fn spawn_blocking<T: Send + 'static>(&self, name: &str, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        let name = name.to_owned();
        let handle = self.tracker.spawn_blocking_on(
            move || match std::panic::catch_unwind(AssertUnwindSafe(work)) {
                Ok(value) => Some(value),
                Err(panic) => {
                    tracing::error!(task = name, panic = panic_text(&panic), "task panicked");
                    None
                }
            },
            &self.runtime,
        );
        Task { handle }
    }

    fn start<T: Send + 'static>(
        &self,
        name: &str,
        future: impl Future<Output = Option<T>> + Send + 'static,
    ) -> Task<T> {
        let span = tracing::debug_span!("task", name);
        let name = name.to_owned();
        let guarded = async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(panic) => {
                    tracing::error!(task = name, panic = panic_text(&panic), "task panicked");
                    None
                }
            }
        };
        Task { handle: self.tracker.spawn_on(guarded.instrument(span), &self.runtime) }
    }

    /// Cancelled when the group is stopped.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Asks all tasks to end.
    pub fn cancel(&self) {
        self.shutdown.cancel();
    }

    /// Ends all tasks, and says whether they did within `limit`. Tasks of child groups are asked, not awaited.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }

    /// Tasks that have not ended.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Task<T> {
    /// What the task returned; none if it was stopped or panicked.
    pub async fn join(self) -> Option<T> {
        self.handle.await.ok().flatten()
    }

    /// Drops the task's future at its next await.
    pub fn abort(&self) {
        self.handle.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

pub(crate) fn panic_text(panic: &Box<dyn Any + Send>) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "not a message"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_only() {
        let tasks = Tasks::new();
        let bad = tasks.spawn("bad", async { panic!("broken") });
        let good = tasks.spawn("good", async { 7 });
        assert_eq!(bad.join().await, None::<()>);
        assert_eq!(good.join().await, Some(7));
    }

    #[tokio::test]
    async fn stop_ends_what_would_run_forever() {
        let tasks = Tasks::new();
        let child = tasks.child();
        let endless = tasks.spawn("endless", std::future::pending::<()>());
        let nested = child.spawn("nested", std::future::pending::<()>());
        assert!(tasks.stop(Duration::from_secs(5)).await);
        assert_eq!(endless.join().await, None);
        assert_eq!(nested.join().await, None);
    }
}
