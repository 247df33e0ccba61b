//! Keeps what authorization looks at in step with the store: roles and bindings for RBAC, pods for the node
//! authorizer. Each feed is a list and then a watch from its revision, begun anew when the watch ends.
//!
//! The store queues an event for a watch before it acknowledges the write. So a feed that has taken in all that is
//! queued knows every write that anybody was told of: a refusal that may come of knowing too little asks for that
//! first ([`Feeds::catch_up`]).

use std::{sync::atomic::Ordering, time::Duration};

use apimachinery::{Object, Status};
use auth::RbacKind;
use futures::FutureExt;
use registry::{EventType, ListOptions, View, WatchEvent};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::server::ApiServer;

/// How long a feed waits before it begins anew. A watch of a store that is closed ends at once, again and again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// A watch that lasted so long was no such one: the next one begins without waiting.
const HEALTHY_AFTER: Duration = Duration::from_secs(1);

/// What is fed.
#[derive(Clone, Copy, Debug)]
enum Feed {
    Rbac(RbacKind),
    Pods,
}

impl Feed {
    fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Rbac(kind) => (auth::rbac::GROUP, "v1", kind.plural()),
            Self::Pods => ("", "v1", "pods"),
        }
    }

    fn replace(self, server: &ApiServer, objects: &[Object]) {
        match self {
            Self::Rbac(kind) => server.inner.rbac.replace(kind, objects),
            Self::Pods => server.inner.graph.replace(objects),
        }
    }

    fn put(self, server: &ApiServer, object: &Object) {
        match self {
            Self::Rbac(kind) => server.inner.rbac.put(kind, object),
            Self::Pods => server.inner.graph.put_pod(object),
        }
    }

    fn delete(self, server: &ApiServer, object: &Object) {
        match self {
            Self::Rbac(kind) => server.inner.rbac.delete(kind, object.namespace(), object.name()),
            Self::Pods => server.inner.graph.delete_pod(object.namespace(), object.name()),
        }
    }
}

/// So many refusals may wait at once for the feeds to catch up; further ones stand as they are.
const MAX_WAITING: usize = 64;
/// How long a refusal waits for them.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);

type Asked = oneshot::Sender<()>;

/// The way to the running feeds.
#[derive(Debug, Default)]
pub(crate) struct Feeds(std::sync::OnceLock<Vec<mpsc::Sender<Asked>>>);

impl Feeds {
    /// Waits until every feed has taken in what was written before this call. Answers whether all have.
    pub(crate) async fn catch_up(&self) -> bool {
        let Some(feeds) = self.0.get() else { return false };
        let mut answers = Vec::with_capacity(feeds.len());
        for feed in feeds {
            let (asked, answer) = oneshot::channel();
            if feed.try_send(asked).is_err() {
                return false;
            }
            answers.push(answer);
        }
        let all = futures::future::join_all(answers);
        tokio::time::timeout(CATCH_UP_WITHIN, all).await.is_ok_and(|answers| answers.iter().all(Result::is_ok))
    }
}

/// Starts the feeds and waits until each has listed once.
pub(crate) async fn start(server: &ApiServer) {
    let kinds = RbacKind::ALL.into_iter().map(Feed::Rbac).chain([Feed::Pods]);
    let (mut first_lists, mut ways) = (Vec::new(), Vec::new());
    for feed in kinds {
        let (sender, receiver) = oneshot::channel();
        let (way, asked) = mpsc::channel(MAX_WAITING);
        first_lists.push(receiver);
        ways.push(way);
        let feeding = server.clone();
        server.inner.tasks.spawn("feed", async move { run(feeding, feed, sender, asked).await });
    }
    for listed in first_lists {
        // An error means the server is stopping.
        if listed.await.is_err() {
            return;
        }
    }
    if server.inner.feeds.0.set(ways).is_err() {
        tracing::error!("the feeds of authorization were started twice");
    }
    server.inner.health.synced.store(true, Ordering::Release);
}

async fn run(server: ApiServer, feed: Feed, first: oneshot::Sender<()>, mut asked: mpsc::Receiver<Asked>) {
    let mut first = Some(first);
    loop {
        let begun = Instant::now();
        let ended = once(&server, feed, &mut first, &mut asked).await;
        if let Err(error) = &ended {
            tracing::warn!(%error, ?feed, "a feed of authorization failed and begins anew");
        }
        if ended.is_err() || begun.elapsed() < HEALTHY_AFTER {
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// A list, and its watch until that ends.
async fn once(
    server: &ApiServer,
    feed: Feed,
    first: &mut Option<oneshot::Sender<()>>,
    asked: &mut mpsc::Receiver<Asked>,
) -> Result<(), Status> {
    let live = &server.inner.live;
    let (group, version, plural) = feed.resource();
    let resource = live.resource(group, version, plural)?;
    let cx = live.context("", "");
    let listed = live.registry.list(&resource, &cx, &ListOptions::default(), View::Object).await?;
    let list: Value = serde_json::from_slice(&listed.chunks.concat()).map_err(Status::internal)?;
    let objects: Vec<Object> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| Object::from_value(item.clone()).ok())
        .collect();
    feed.replace(server, &objects);
    let options = ListOptions {
        resource_version: list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
        ..ListOptions::default()
    };
    let mut watcher = live.registry.watch(&resource, &cx, &options, View::Object).await?;
    if let Some(first) = first.take()
        && first.send(()).is_err()
    {
        return Ok(());
    }
    loop {
        tokio::select! {
            event = watcher.next() => match event {
                Some(event) if take(server, feed, &event)? => {}
                _ => return Ok(()),
            },
            Some(waiting) = asked.recv() => {
                while let Some(event) = watcher.next().now_or_never() {
                    match event {
                        Some(event) if take(server, feed, &event)? => {}
                        _ => return Ok(()),
                    }
                }
                // Who asked may have gone away meanwhile.
                waiting.send(()).ok();
            }
        }
    }
}

/// Takes one event in. Answers whether the watch goes on.
fn take(server: &ApiServer, feed: Feed, event: &WatchEvent) -> Result<bool, Status> {
    match event.event_type {
        EventType::Bookmark => {}
        EventType::Error => return Ok(false),
        kind => {
            let object = Object::from_slice(&event.object).map_err(Status::internal)?;
            if kind == EventType::Deleted { feed.delete(server, &object) } else { feed.put(server, &object) }
        }
    }
    Ok(true)
}
