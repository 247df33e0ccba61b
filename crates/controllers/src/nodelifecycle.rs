//! The node lifecycle controller: notices nodes that have gone silent, says so in their conditions and taints, and
//! that their pods are not ready.

mod plan;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::{
    conditions::{is_node_ready, is_pod_ready, node_condition},
    coordination::v1::Lease,
    core::v1::{Node, Pod},
    jiff::Timestamp,
    object_reference,
};
use client::{ApiError, Patch, PatchParams, PostParams};
use controller_runtime::{Controller, Error, Key, Ledger, Lister, Next, Scope, Watch};
use serde_json::json;
use tokio::time::Instant;

pub use self::plan::NODE_MONITOR_GRACE;
use self::plan::{STARTUP_GRACE, silent_conditions, taints};
use crate::context::Context;

const LEASES: &str = "kube-node-lease";

pub(crate) struct NodeLifecycleController {
    context: Context,
    nodes: Lister<Node>,
    leases: Lister<Lease>,
    pods: Lister<Pod>,
    heard: Mutex<HashMap<Key, Heard>>,
    unready: Mutex<HashMap<Key, Unready>>,
    grace: Duration,
    ledger: Ledger,
}

/// A node that is not ready.
struct Unready {
    since: Option<Timestamp>,
    /// The uids of its pods that were told.
    told: HashSet<String>,
}

/// What a node said last, and when by our own clock; its clock may differ.
struct Heard {
    said: (Option<Timestamp>, Option<Timestamp>),
    at: Instant,
}

impl NodeLifecycleController {
    pub(crate) fn new(context: Context, grace: Duration) -> Self {
        let leases = context.informers.watch_scoped(Scope { namespace: LEASES.to_owned(), ..Scope::default() });
        Self {
            nodes: context.informers.watch(),
            pods: context.informers.watch(),
            leases,
            context,
            heard: Mutex::default(),
            unready: Mutex::default(),
            grace,
            ledger: Ledger::default(),
        }
    }

    /// How long the node has been silent.
    fn silent_for(&self, key: &Key, node: &Node) -> Result<Duration, Error> {
        let lease = self.leases.fetch_in(LEASES, &key.name)?;
        let renewed = lease.and_then(|lease| lease.spec?.renew_time).map(|time| time.0);
        let beaten = node_condition(node, "Ready").and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| t.0);
        let said = (renewed, beaten);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|key, _| self.nodes.get(key).is_some());
        let last = heard.entry(key.clone()).or_insert_with(|| Heard { said, at: Instant::now() });
        if last.said != said {
            *last = Heard { said, at: Instant::now() };
        }
        Ok(last.at.elapsed())
    }

    /// The pods that were told since the node is not ready.
    fn unreadied(&self, key: &Key, since: Option<Timestamp>) -> HashSet<String> {
        let mut unready = self.unready.lock().unwrap_or_else(PoisonError::into_inner);
        unready.retain(|key, _| self.nodes.get(key).is_some());
        unready.get(key).filter(|before| before.since == since).map(|before| before.told.clone()).unwrap_or_default()
    }

    /// Whether any node is ready. While none is, it may well be us who are cut off.
    fn any_ready(&self) -> Result<bool, Error> {
        for entry in self.nodes.entries() {
            if is_node_ready(&entry.decode()?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn tell_silence(&self, key: &Key, node: Node) -> Result<Node, Error> {
        let Some(conditions) = silent_conditions(&node, Timestamp::now()) else { return Ok(node) };
        let mut changed = node;
        let was_ready = is_node_ready(&changed);
        changed.status.get_or_insert_default().conditions = Some(conditions);
        let nodes = self.context.client.all::<Node>();
        let node = nodes.replace_status(&key.name, &PostParams::default(), &changed).await?;
        self.ledger.wrote(key, &self.nodes, node.metadata.resource_version.as_deref());
        if was_ready {
            let message = format!("Node {} status is now: NodeNotReady", key.name);
            self.context.recorder.normal(&object_reference(&node), "NodeNotReady", message);
        }
        Ok(node)
    }

    /// Pods of a node that is not ready are not ready, so that no traffic goes there. Said once of each pod as long as
    /// the node is not ready: a kubelet that lives knows better and takes it back.
    async fn unready_pods(&self, key: &Key, since: Option<Timestamp>) -> Result<(), Error> {
        let mut told = self.unreadied(key, since);
        for entry in self.pods.on_node(&key.name) {
            let pod: Pod = entry.decode()?;
            if !is_pod_ready(&pod) || told.contains(entry.header.uid.as_ref()) {
                continue;
            }
            told.insert(entry.header.uid.to_string());
            let condition = json!({
                "type": "Ready", "status": "False", "lastTransitionTime": api::meta::Time(Timestamp::now()),
            });
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
            let pods = self.context.client.namespaced::<Pod>(&entry.header.key.namespace);
            let name = &entry.header.key.name;
            match pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
                Ok(written) => {
                    self.ledger.wrote(key, &self.pods, written.metadata.resource_version.as_deref());
                    self.context.recorder.warning(&object_reference(&pod), "NodeNotReady", "Node is not ready");
                }
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.unready.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), Unready { since, told });
        Ok(())
    }

    async fn write_taints(&self, key: &Key, node: Node) -> Result<(), Error> {
        let evict = self.any_ready()?;
        let Some(taints) = taints(&node, evict, Timestamp::now()) else { return Ok(()) };
        // The revision makes this a write of what was read: taints are one list, and others write it too.
        let patch = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": if taints.is_empty() { None } else { Some(taints) }},
        });
        let nodes = self.context.client.all::<Node>();
        let node = nodes.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.ledger.wrote(key, &self.nodes, node.metadata.resource_version.as_deref());
        Ok(())
    }
}

impl Controller for NodeLifecycleController {
    const NAME: &'static str = "node_lifecycle_controller";

    fn watches(&self) -> Vec<Watch> {
        let nodes = self.nodes.clone();
        vec![
            // Whether one node may evict depends on whether others are ready.
            Watch::mapped(&self.nodes, move |change| {
                let ready = |entry: Option<&std::sync::Arc<controller_runtime::Entry>>| {
                    entry.and_then(|entry| entry.decode::<Node>().ok()).is_some_and(|node| is_node_ready(&node))
                };
                if ready(change.old.as_ref()) == ready(change.new.as_ref()) {
                    return vec![change.key.clone()];
                }
                nodes.entries().iter().map(|node| node.header.key.clone()).collect()
            }),
            Watch::mapped(&self.leases, |change| vec![Key::cluster(change.key.name.clone())]),
            // A pod that says it is ready on a node that is not.
            Watch::mapped(&self.pods, |change| {
                let node = change.new.as_ref().map(|pod| pod.header.node.clone()).filter(|node| !node.is_empty());
                node.map(Key::cluster).into_iter().collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let Some(mut node) = self.nodes.fetch(key)? else { return Ok(Next::Settled) };
        let silent = self.silent_for(key, &node)?;
        let grace = if node_condition(&node, "Ready").is_some() { self.grace } else { self.grace.max(STARTUP_GRACE) };
        if silent >= grace {
            node = self.tell_silence(key, node).await?;
        }
        let ready = node_condition(&node, "Ready").map(|c| c.status.clone());
        let since = node_condition(&node, "Ready").and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
        if ready.is_some_and(|ready| ready != "True") {
            self.unready_pods(key, since).await?;
        }
        self.write_taints(key, node).await?;
        // Once it is known to be silent, only its speaking changes anything.
        Ok(if silent >= grace { Next::Settled } else { Next::After(grace - silent) })
    }
}
