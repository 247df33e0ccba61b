//! The garbage collector: deletes what has lost all its owners, holds back foreground deletions until nothing blocks
//! them, and lets go what an owner orphans.

mod graph;
mod verdict;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use client::{Api, ApiError, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use controller_runtime::{Backoff, Change, Entry, Error, Key, Tasks, WorkQueue};
use futures::{FutureExt, future::join_all};
use serde_json::{Value, json};

use self::{
    graph::{Graph, Node},
    verdict::{FOREGROUND, ORPHAN, OwnerState, Policy, Verdict, has_finalizer, judge, own_verdict},
};
use crate::{context::Context, discovery::discover};

const NAME: &str = "garbage_collector_attempt_to_delete";
const WORKERS: usize = 20;
const FIRST_DISCOVERY_RETRY: Duration = Duration::from_millis(100);
const SLOWEST_DISCOVERY_RETRY: Duration = Duration::from_secs(30);

struct Collector {
    context: Context,
    graph: Graph,
    queue: WorkQueue<Node>,
}

/// Runs the garbage collector until `tasks` ends.
pub(crate) fn start(tasks: &Tasks, context: Context) {
    let group = tasks.clone();
    tasks.spawn("garbage collector", async move {
        let graph = watch_everything(&context).await;
        join_all(graph.kinds.iter().map(|kind| kind.cache.synced())).await;
        let collector = Arc::new(Collector { context, graph, queue: WorkQueue::new(NAME) });
        tracing::info!(kinds = collector.graph.kinds.len(), "garbage collector started");
        for worker in 0..WORKERS {
            group.spawn(&format!("garbage collector/{worker}"), collector.clone().work());
        }
        join_all((0..collector.graph.kinds.len()).map(|kind| collector.feed(kind))).await;
    });
}

/// Asks until every group answers: objects of a kind that is not known would seem to have no dependents.
async fn watch_everything(context: &Context) -> Graph {
    let mut backoff = Backoff::new(FIRST_DISCOVERY_RETRY, SLOWEST_DISCOVERY_RETRY);
    loop {
        match discover(&context.client).await {
            Ok(found) if found.failures.is_empty() => return Graph::new(&context.informers, found.resources),
            Ok(found) => tracing::warn!(failures = ?found.failures, "some groups do not answer; asking again"),
            Err(error) => tracing::warn!(%error, "the kinds served cannot be read; asking again"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

impl Collector {
    async fn feed(&self, kind: usize) {
        let mut changes = self.graph.kinds[kind].cache.subscribe();
        loop {
            self.note(kind, &changes.next().await);
        }
    }

    /// Queues whatever a change may concern.
    fn note(&self, kind: usize, change: &Change) {
        if let Some(new) = &change.new
            && (!new.header.owners.is_empty() || new.header.deleting)
        {
            self.queue.add(Node { kind, key: change.key.clone() });
        }
        let Some(old) = &change.old else { return };
        let gone = change.new.as_ref().is_none_or(|new| new.header.uid != old.header.uid);
        let waits_now = change.new.as_ref().is_some_and(|new| new.header.deleting);
        if gone || waits_now {
            for (dependent, _) in self.graph.dependents(&old.header.uid) {
                self.queue.add(dependent);
            }
        }
        // Owners that wait for this one to go, or to stop blocking them.
        for owner in &old.header.owners {
            if let Some(node) = self.graph.locate(owner, &change.key.namespace)
                && self.graph.entry(&node).is_some_and(|entry| entry.header.deleting)
            {
                self.queue.add(node);
            }
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            let node = self.queue.take().await;
            match AssertUnwindSafe(self.attempt(&node)).catch_unwind().await {
                Ok(Ok(())) => self.queue.forget(&node),
                Ok(Err(error)) => {
                    tracing::debug!(object = %node.key, %error, "not collected; trying again");
                    self.queue.retry(node.clone());
                }
                Err(_) => {
                    tracing::error!(object = %node.key, "collecting panicked; trying again");
                    self.queue.retry(node.clone());
                }
            }
            self.queue.done(&node);
        }
    }

    async fn attempt(&self, node: &Node) -> Result<(), Error> {
        let Some(entry) = self.graph.entry(node) else { return Ok(()) };
        let verdict = match own_verdict(&entry.header) {
            Some(verdict) => verdict,
            None => self.judge_by_owners(node, &entry).await?,
        };
        match verdict {
            Verdict::Keep => Ok(()),
            Verdict::AwaitDependents => self.await_dependents(node, &entry).await,
            Verdict::OrphanDependents => self.orphan_dependents(node, &entry).await,
            Verdict::DropOwners(uids) => {
                let uids: Vec<&str> = uids.iter().map(|uid| &**uid).collect();
                self.drop_owners(node, &entry, &uids).await
            }
            Verdict::Delete(policy) => self.delete(node, &entry, policy).await,
        }
    }

    async fn judge_by_owners(&self, node: &Node, entry: &Entry) -> Result<Verdict, Error> {
        let mut states = Vec::new();
        for owner in &entry.header.owners {
            let Some(place) = self.graph.locate(owner, &node.key.namespace) else {
                let reason = format!("no kind {} {} is served", owner.api_version, owner.kind);
                return Err(Error::Invalid { key: node.key.clone(), reason });
            };
            if self.graph.kinds[place.kind].namespaced && node.key.namespace.is_empty() {
                // A cluster's object cannot be owned by a namespace's; upstream leaves it alone too.
                return Ok(Verdict::Keep);
            }
            states.push((owner, self.state(&place, &owner.uid).await?));
        }
        let has_dependents = !self.graph.dependents(&entry.header.uid).is_empty();
        Ok(judge(entry, &states, has_dependents))
    }

    /// That an owner is gone is believed of the server only, because a cache may lag behind its creation.
    async fn state(&self, owner: &Node, uid: &str) -> Result<OwnerState, Error> {
        if let Some(entry) = self.graph.entry(owner).filter(|entry| &*entry.header.uid == uid) {
            let waits = entry.header.deleting && has_finalizer(&entry.header, FOREGROUND);
            return Ok(if waits { OwnerState::Waits } else { OwnerState::Lives });
        }
        let live = self.api(owner).get_metadata_opt(&owner.key.name).await?;
        Ok(match live.filter(|live| live.metadata.uid.as_deref() == Some(uid)) {
            Some(live) => {
                let finalizers = live.metadata.finalizers.unwrap_or_default();
                let waits = live.metadata.deletion_timestamp.is_some() && finalizers.iter().any(|f| f == FOREGROUND);
                if waits { OwnerState::Waits } else { OwnerState::Lives }
            }
            None => OwnerState::Gone,
        })
    }

    async fn await_dependents(&self, node: &Node, entry: &Entry) -> Result<(), Error> {
        let uid = &*entry.header.uid;
        let blocks = |dependent: &Entry| dependent.header.owners.iter().any(|o| &*o.uid == uid && o.blocks);
        let blocking: Vec<_> =
            self.graph.dependents(uid).into_iter().filter(|(_, dependent)| blocks(dependent)).collect();
        if blocking.is_empty() {
            return self.drop_finalizer(node, entry, FOREGROUND).await;
        }
        // Their going brings this one back here.
        for (dependent, entry) in blocking {
            if !entry.header.deleting {
                self.queue.add(dependent);
            }
        }
        Ok(())
    }

    async fn orphan_dependents(&self, node: &Node, entry: &Entry) -> Result<(), Error> {
        let uid = &*entry.header.uid;
        for (dependent, dependent_entry) in self.graph.dependents(uid) {
            self.drop_owners(&dependent, &dependent_entry, &[uid]).await?;
        }
        self.drop_finalizer(node, entry, ORPHAN).await
    }

    async fn drop_owners(&self, node: &Node, entry: &Entry, uids: &[&str]) -> Result<(), Error> {
        let mut owners = metadata_list(entry, "ownerReferences")?;
        owners.retain(|owner| !owner["uid"].as_str().is_some_and(|uid| uids.contains(&uid)));
        self.patch(node, entry, "ownerReferences", owners).await
    }

    async fn drop_finalizer(&self, node: &Node, entry: &Entry, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = metadata_list(entry, "finalizers")?;
        finalizers.retain(|f| f != finalizer);
        self.patch(node, entry, "finalizers", finalizers).await
    }

    /// Replaces one list of the metadata, if the object is still the revision that was judged.
    async fn patch(&self, node: &Node, entry: &Entry, field: &str, list: Vec<Value>) -> Result<(), Error> {
        let header = &entry.header;
        let mut metadata = json!({"uid": &*header.uid, "resourceVersion": &*header.resource_version});
        metadata[field] = if list.is_empty() { Value::Null } else { list.into() };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        match self.api(node).patch(&node.key.name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, node: &Node, entry: &Entry, policy: Policy) -> Result<(), Error> {
        let policy = match policy {
            Policy::Background => PropagationPolicy::Background,
            Policy::Foreground => PropagationPolicy::Foreground,
            Policy::Orphan => PropagationPolicy::Orphan,
        };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            // An object that has got a new owner meanwhile has another revision, and stays.
            preconditions: Some(Preconditions {
                uid: Some(entry.header.uid.to_string()),
                resource_version: Some(entry.header.resource_version.to_string()),
            }),
            ..DeleteParams::default()
        };
        match self.api(node).delete(&node.key.name, &params).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn api(&self, node: &Node) -> Api<DynamicObject> {
        let (kube, kind) = (self.context.client.kube(), &self.graph.kinds[node.kind]);
        let Key { namespace, .. } = &node.key;
        if namespace.is_empty() {
            Api::all_with(kube, &kind.resource)
        } else {
            Api::namespaced_with(kube, namespace, &kind.resource)
        }
    }
}

fn metadata_list(entry: &Entry, field: &str) -> Result<Vec<Value>, Error> {
    let mut object: Value = entry.decode()?;
    Ok(match object["metadata"][field].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    })
}
