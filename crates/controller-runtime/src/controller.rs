//! The one loop of all controllers: changes become keys, keys wait in a queue, workers reconcile them.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use client::ApiError;
use futures::{FutureExt, future::join_all};
use tracing::Instrument;

use crate::{Cache, Change, DecodeError, Key, Subscription, Task, Tasks, WorkQueue, tasks::panic_text};

/// Workers of a controller that does not say otherwise, as upstream's.
pub const DEFAULT_WORKERS: usize = 5;

/// What a reconcile leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until something changes.
    Settled,
    /// Another look after a time, for what time alone changes.
    After(Duration),
}

impl Next {
    /// The sooner of two.
    pub fn sooner(self, other: Next) -> Next {
        match (self, other) {
            (Next::After(a), Next::After(b)) => Next::After(a.min(b)),
            (Next::After(a), Next::Settled) | (Next::Settled, Next::After(a)) => Next::After(a),
            (Next::Settled, Next::Settled) => Next::Settled,
        }
    }
}

/// Why a reconcile did not finish. Each is tried again, later each time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Api(#[from] client::Error),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("the cache has not shown this controller's own writes in time")]
    Lagging,
    /// An object says something that cannot be acted on.
    #[error("{key}: {reason}")]
    Invalid { key: Key, reason: String },
}

/// What makes a key worth another look.
pub struct Watch {
    cache: Arc<Cache>,
    map: Option<MapFn>,
}

type MapFn = Box<dyn Fn(&Change) -> Vec<Key> + Send + Sync>;

impl Watch {
    /// The object itself.
    pub fn own(cache: &Arc<Cache>) -> Self {
        Self::mapped(cache, |change| vec![change.key.clone()])
    }

    /// The controller of the object, if it is of `kind`; of the old and of the new revision.
    pub fn controlled_by(cache: &Arc<Cache>, kind: &'static str) -> Self {
        Self::mapped(cache, move |change| {
            let mut keys: Vec<Key> = change
                .entries()
                .filter_map(|entry| {
                    let owner = entry.header.controller().filter(|owner| &*owner.kind == kind)?;
                    Some(Key::new(entry.header.key.namespace.clone(), owner.name.clone()))
                })
                .collect();
            keys.dedup();
            keys
        })
    }

    /// Whatever keys the change concerns. Called on one task, in order; must not block.
    pub fn mapped(cache: &Arc<Cache>, map: impl Fn(&Change) -> Vec<Key> + Send + Sync + 'static) -> Self {
        Self { cache: cache.clone(), map: Some(Box::new(map)) }
    }

    /// No key; but no reconcile begins before this cache has its first list.
    pub fn read_only(cache: &Arc<Cache>) -> Self {
        Self { cache: cache.clone(), map: None }
    }
}

/// One controller: which keys, and what to do about one.
pub trait Controller: Send + Sync + 'static {
    /// Upstream's name, as in its metrics and log lines.
    const NAME: &'static str;

    fn watches(&self) -> Vec<Watch>;

    /// Makes the world nearer to what the object of `key` says. Never runs twice at once for one key; may be
    /// cancelled at any await; writes nothing when there is nothing to do.
    fn reconcile(&self, key: &Key) -> impl Future<Output = Result<Next, Error>> + Send;
}

/// Runs a controller with so many workers until `tasks` ends.
pub fn run<C: Controller>(tasks: &Tasks, controller: C, workers: usize) -> Task {
    let controller = Arc::new(controller);
    let queue = Arc::new(WorkQueue::new(C::NAME));
    let group = tasks.clone();
    tasks.spawn(C::NAME, async move {
        let mut feeds = Vec::new();
        let watches = controller.watches();
        join_all(watches.iter().map(|watch| watch.cache.synced())).await;
        for watch in watches {
            if let Some(map) = watch.map {
                feeds.push(feed(watch.cache.subscribe(), map, queue.clone()));
            }
        }
        tracing::info!(controller = C::NAME, workers, "controller started");
        let workers = (0..workers).map(|number| {
            let name = format!("{}/{number}", C::NAME);
            let work = work(controller.clone(), queue.clone());
            group.spawn(&name, work).join()
        });
        futures::future::join(join_all(feeds), join_all(workers)).await;
    })
}

async fn feed(mut changes: Subscription, map: MapFn, queue: Arc<WorkQueue<Key>>) {
    loop {
        for key in map(&changes.next().await) {
            queue.add(key);
        }
    }
}

async fn work<C: Controller>(controller: Arc<C>, queue: Arc<WorkQueue<Key>>) {
    loop {
        let key = queue.take().await;
        let span = tracing::debug_span!("reconcile", controller = C::NAME, %key);
        let outcome = AssertUnwindSafe(controller.reconcile(&key)).catch_unwind().instrument(span).await;
        match outcome {
            Ok(Ok(next)) => {
                queue.forget(&key);
                if let Next::After(delay) = next {
                    queue.add_after(key.clone(), delay);
                }
            }
            Ok(Err(error)) => {
                report(C::NAME, &key, &error);
                queue.retry(key.clone());
            }
            Err(panic) => {
                tracing::error!(controller = C::NAME, %key, panic = panic_text(&panic), "reconcile panicked");
                queue.retry(key.clone());
            }
        }
        queue.done(&key);
    }
}

/// Losing a race is how optimistic writes work, and no news.
fn report(controller: &str, key: &Key, error: &Error) {
    match error {
        Error::Api(error) if error.is_conflict() => {
            tracing::debug!(controller, %key, %error, "somebody else wrote first; trying again");
        }
        error => tracing::warn!(controller, %key, %error, "reconcile failed; trying again"),
    }
}
