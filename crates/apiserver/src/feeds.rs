//! Keeps what authorization looks at in step with the store: roles and bindings for RBAC, pods for the node
//! authorizer. Each feed is a list and then a watch from its revision, begun anew when the watch ends.

use std::{sync::atomic::Ordering, time::Duration};

use apimachinery::{Object, Status};
use auth::RbacKind;
use registry::{EventType, ListOptions, View};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::server::ApiServer;

/// How long a feed waits after a failure; failures of reads from memory are rare and pass.
const RETRY_AFTER: Duration = Duration::from_millis(200);

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

    fn clear(self, server: &ApiServer) {
        match self {
            Self::Rbac(kind) => server.inner.rbac.clear(kind),
            Self::Pods => server.inner.graph.clear(),
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

/// Starts the feeds and waits until each has listed once.
pub(crate) async fn start(server: &ApiServer) {
    let feeds = RbacKind::ALL.into_iter().map(Feed::Rbac).chain([Feed::Pods]);
    let mut first_lists = Vec::new();
    for feed in feeds {
        let (sender, receiver) = oneshot::channel();
        first_lists.push(receiver);
        let feeding = server.clone();
        server.inner.tasks.spawn("feed", async move { run(feeding, feed, sender).await });
    }
    for listed in first_lists {
        // An error means the server is stopping.
        if listed.await.is_err() {
            return;
        }
    }
    server.inner.health.synced.store(true, Ordering::Release);
}

async fn run(server: ApiServer, feed: Feed, first: oneshot::Sender<()>) {
    let mut first = Some(first);
    loop {
        if let Err(error) = once(&server, feed, &mut first).await {
            tracing::warn!(%error, ?feed, "a feed of authorization failed and begins anew");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// A list, and its watch until that ends.
async fn once(server: &ApiServer, feed: Feed, first: &mut Option<oneshot::Sender<()>>) -> Result<(), Status> {
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
    // Between clearing and filling requests could be refused that are allowed. A refusal is what a restart of the
    // watch may cost; an allowance that is void would not be.
    feed.clear(server);
    for object in &objects {
        feed.put(server, object);
    }
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
    while let Some(event) = watcher.next().await {
        match event.event_type {
            EventType::Bookmark => {}
            EventType::Error => return Ok(()),
            kind => {
                let object = Object::from_slice(&event.object).map_err(Status::internal)?;
                if kind == EventType::Deleted { feed.delete(server, &object) } else { feed.put(server, &object) }
            }
        }
    }
    Ok(())
}
