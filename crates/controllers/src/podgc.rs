//! The pod garbage collector: pods of nodes that are gone, pods deleted before they had a node, and the oldest ended
//! pods beyond a threshold.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    core::v1::{Node, Pod},
    jiff::Timestamp,
};
use client::{ApiError, DeleteParams, Patch, PatchParams, Preconditions};
use controller_runtime::{Controller, Entry, Error, Key, Lister, Next, Watch};
use serde_json::json;
use tokio::time::Instant;

use crate::context::Context;

/// A node may be created after its pods are seen; only one missing for so long is gone.
const QUARANTINE: Duration = Duration::from_secs(40);
/// Ended pods that may stay, for people to look at.
pub(crate) const TERMINATED_THRESHOLD: usize = 12_500;

pub(crate) struct PodGarbageCollector {
    context: Context,
    pods: Lister<Pod>,
    nodes: Lister<Node>,
    /// Since when nodes are missed.
    missed: Mutex<HashMap<Arc<str>, Instant>>,
}

#[derive(Debug, PartialEq)]
enum Plan {
    Keep,
    /// Look whether the node is really gone.
    CheckNode,
    /// Deleted before it had a node: no kubelet will ever confirm it.
    Delete,
}

/// Pure.
fn plan(pod: &Entry, node_known: bool) -> Plan {
    let header = &pod.header;
    if header.node.is_empty() {
        if header.deleting { Plan::Delete } else { Plan::Keep }
    } else if node_known {
        Plan::Keep
    } else {
        Plan::CheckNode
    }
}

fn has_ended(pod: &Entry) -> bool {
    matches!(&*pod.header.phase, "Succeeded" | "Failed")
}

impl PodGarbageCollector {
    pub(crate) fn new(context: Context) -> Self {
        let (pods, nodes) = (context.informers.watch(), context.informers.watch());
        Self { context, pods, nodes, missed: Mutex::default() }
    }

    fn missed_for(&self, node: &Arc<str>) -> Duration {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        // Nodes that came or whose pods are all gone are no longer missed.
        missed.retain(|node, _| self.nodes.get(&Key::cluster(node.clone())).is_none());
        missed.retain(|node, _| !self.pods.on_node(node).is_empty());
        missed.entry(node.clone()).or_insert_with(Instant::now).elapsed()
    }

    async fn check_node(&self, pod: &Entry) -> Result<Next, Error> {
        let missed = self.missed_for(&pod.header.node);
        if missed < QUARANTINE {
            return Ok(Next::After(QUARANTINE - missed));
        }
        if self.context.client.all::<Node>().get_opt(&pod.header.node).await?.is_some() {
            return Ok(Next::Settled);
        }
        tracing::info!(pod = %pod.header.key, node = &*pod.header.node, "deleting a pod whose node is gone");
        if !has_ended(pod) {
            self.mark_failed(pod).await?;
        }
        self.delete(pod).await
    }

    async fn mark_failed(&self, pod: &Entry) -> Result<(), Error> {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": api::meta::Time(Timestamp::now()),
        });
        let patch = json!({
            "metadata": {"uid": &*pod.header.uid},
            "status": {"phase": "Failed", "conditions": [condition]},
        });
        let pods = self.context.client.namespaced::<Pod>(&pod.header.key.namespace);
        match pods.patch_status(&pod.header.key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, pod: &Entry) -> Result<Next, Error> {
        let preconditions = Preconditions { uid: Some(pod.header.uid.to_string()), resource_version: None };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            grace_period_seconds: Some(0),
            ..DeleteParams::default()
        };
        let pods = self.context.client.namespaced::<Pod>(&pod.header.key.namespace);
        match pods.delete(&pod.header.key.name, &params).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether so many pods have ended that this one, one of the oldest, must go.
    fn is_surplus(&self, pod: &Entry) -> Result<bool, Error> {
        if !has_ended(pod) || pod.header.deleting || self.pods.len() <= TERMINATED_THRESHOLD {
            return Ok(false);
        }
        let ended: Vec<Arc<Entry>> =
            self.pods.entries().into_iter().filter(|pod| has_ended(pod) && !pod.header.deleting).collect();
        if ended.len() <= TERMINATED_THRESHOLD {
            return Ok(false);
        }
        let created = |entry: &Entry| -> Result<Option<Timestamp>, Error> {
            Ok(entry.decode::<Pod>()?.metadata.creation_timestamp.map(|t| t.0))
        };
        let (mine, mut older) = (created(pod)?, 0);
        for other in &ended {
            if (created(other)?, &other.header.key) < (mine, &pod.header.key) {
                older += 1;
            }
        }
        Ok(older < ended.len() - TERMINATED_THRESHOLD)
    }
}

impl Controller for PodGarbageCollector {
    const NAME: &'static str = "gc_pods";

    fn watches(&self) -> Vec<Watch> {
        let pods = self.pods.clone();
        vec![
            Watch::own(&self.pods),
            Watch::mapped(&self.nodes, move |change| {
                // Only a node that goes changes anything.
                let gone = change.new.is_none();
                let on = if gone { pods.on_node(&change.key.name) } else { Vec::new() };
                on.iter().map(|pod| pod.header.key.clone()).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(Next::Settled) };
        let node_known = self.nodes.get(&Key::cluster(pod.header.node.clone())).is_some();
        match plan(&pod, node_known) {
            Plan::Delete => self.delete(&pod).await,
            Plan::CheckNode => self.check_node(&pod).await,
            Plan::Keep if self.is_surplus(&pod)? => self.delete(&pod).await,
            Plan::Keep => Ok(Next::Settled),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn which_pods_nobody_else_will_end() {
        let cases = [
            ("", false, false, Plan::Keep),
            ("", true, false, Plan::Delete),
            ("node-1", true, true, Plan::Keep),
            ("node-1", false, false, Plan::CheckNode),
        ];
        for (node, deleting, known, expect) in cases {
            let time = deleting.then_some("2026-01-01T00:00:00Z");
            let pod = json!({"metadata": {"name": "p", "deletionTimestamp": time}, "spec": {"nodeName": node}});
            let pod = Entry::new(pod.to_string().into_bytes().into()).unwrap();
            assert_eq!(plan(&pod, known), expect, "{node} {deleting} {known}");
        }
    }
}
