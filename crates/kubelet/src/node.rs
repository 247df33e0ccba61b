//! This machine as a Node: registered, its status told, its lease renewed.

mod capacity;
mod conditions;
mod lease;
mod system;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{
    Quantity,
    core::v1::{
        ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeDaemonEndpoints, NodeRuntimeHandler, NodeSpec,
        NodeStatus,
    },
    jiff::Timestamp,
    meta::ObjectMeta,
    resources::Amounts,
};
use client::{ApiError, Patch, PatchParams, PostParams};
use controller_runtime::Key;
use cri::v1;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::agent::{Agent, about_node};
pub(crate) use capacity::{allocatable, capacity};
pub(crate) use lease::renew_lease;

/// How often the node looks at itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// A node that is not ready looks more often, so that it becomes ready at once when it can.
const IMPATIENT: Duration = Duration::from_millis(100);
/// Tries to register, each a little later.
const REGISTER_DELAYS: [u64; 7] = [100, 200, 400, 800, 1600, 3200, 7000];
/// The most images told, the largest first.
const MAX_IMAGES: usize = 50;
/// The most names told of one image.
const MAX_IMAGE_NAMES: usize = 5;

/// Registers the node, then keeps its status true, for ever.
pub(crate) async fn follow_node(agent: Arc<Agent>, ready: Arc<Notify>) {
    register(&agent).await;
    let mut told: Option<(NodeStatus, tokio::time::Instant)> = None;
    let mut cidr = None;
    let mut pressure = agent.pressure.changes();
    loop {
        pass_on_pod_cidr(&agent, &mut cidr).await;
        let old = current(&agent).await;
        let is_ready = match old {
            Ok(Some(node)) => {
                let due = told.as_ref().is_none_or(|(_, at)| at.elapsed() >= agent.config.status_report_interval);
                let status = node_status(&agent, &node).await;
                let is_ready = is_ready(&status);
                if due || told.as_ref().is_none_or(|(last, _)| differs(last, &status)) {
                    match write_status(&agent, &node, &status).await {
                        Ok(()) => {
                            tell_changes(&agent, &node, &status);
                            told = Some((status, tokio::time::Instant::now()));
                            if is_ready {
                                ready.notify_one();
                            }
                        }
                        Err(error) => tracing::warn!(%error, "the node's status could not be written; trying again"),
                    }
                }
                is_ready
            }
            Ok(None) => {
                register(&agent).await;
                told = None;
                false
            }
            Err(error) => {
                tracing::warn!(%error, "the node could not be read; trying again");
                false
            }
        };
        let rest = tokio::time::sleep(if is_ready { LOOK_INTERVAL } else { IMPATIENT });
        tokio::select! {
            () = rest => {}
            // The sender lives as long as the agent.
            Ok(()) = pressure.changed() => {}
        }
    }
}

/// The node as the informer has it; asked for while that has not seen it.
async fn current(agent: &Agent) -> Result<Option<Node>, client::Error> {
    if let Ok(Some(node)) = agent.node.fetch(&Key::cluster(agent.config.node_name.as_str())) {
        return Ok(Some(node));
    }
    agent.client.all::<Node>().get_opt(&agent.config.node_name).await
}

async fn register(agent: &Agent) {
    let wanted = initial(agent);
    let api = agent.client.all::<Node>();
    for delay in REGISTER_DELAYS.iter().chain(std::iter::repeat(&7000)) {
        let done = match api.create(&PostParams::default(), &wanted).await {
            Err(error) if error.is_already_exists() => update_labels(agent, &wanted).await,
            other => other.map(drop),
        };
        match done {
            Ok(()) => {
                tracing::info!(node = agent.config.node_name, "registered");
                return;
            }
            Err(error) => tracing::warn!(%error, "the node could not be registered; trying again"),
        }
        tokio::time::sleep(Duration::from_millis(*delay)).await;
    }
}

/// A node that is known keeps everything but the labels this kubelet sets.
async fn update_labels(agent: &Agent, wanted: &Node) -> Result<(), client::Error> {
    let api = agent.client.all::<Node>();
    let now = api.get(&agent.config.node_name).await?;
    let have = now.metadata.labels.unwrap_or_default();
    let labels = wanted.metadata.labels.clone().unwrap_or_default();
    if labels.iter().all(|(key, value)| have.get(key) == Some(value)) {
        return Ok(());
    }
    let patch = json!({"metadata": {"labels": labels}});
    api.patch(&agent.config.node_name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop)
}

fn initial(agent: &Agent) -> Node {
    let config = &agent.config;
    let mut labels = config.labels.clone();
    labels.extend(
        [
            ("kubernetes.io/hostname", config.hostname.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", system::ARCHITECTURE),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", system::ARCHITECTURE),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(
                "volumes.kubernetes.io/controller-managed-attach-detach".to_owned(),
                "true".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            pod_cidr: config.pod_cidr.clone(),
            pod_cidrs: config.pod_cidr.clone().map(|cidr| vec![cidr]),
            provider_id: config.provider_id.clone(),
            taints: Some(config.taints.clone()).filter(|t| !t.is_empty()),
            ..NodeSpec::default()
        }),
        status: None,
    }
}

/// The runtime gives addresses to pods and must know which.
async fn pass_on_pod_cidr(agent: &Agent, passed: &mut Option<String>) {
    let node = agent.node.fetch(&Key::cluster(agent.config.node_name.as_str()));
    let spec = node.ok().flatten().and_then(|n| n.spec);
    let cidr = spec.map(|s| s.pod_cidrs.unwrap_or_default().join(",")).filter(|c| !c.is_empty());
    let Some(cidr) = cidr.or_else(|| agent.config.pod_cidr.clone()) else { return };
    if passed.as_ref() == Some(&cidr) {
        return;
    }
    let network = v1::NetworkConfig { pod_cidr: cidr.clone() };
    let request =
        v1::UpdateRuntimeConfigRequest { runtime_config: Some(v1::RuntimeConfig { network_config: Some(network) }) };
    match agent.runtime.service.update_runtime_config(request).await {
        Ok(_) => *passed = Some(cidr),
        Err(error) => tracing::warn!(%error, cidr, "the runtime did not take the addresses of pods; trying again"),
    }
}

/// An event for each condition that changed, as upstream writes them.
fn tell_changes(agent: &Agent, old: &Node, status: &NodeStatus) {
    let before = old.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let name = &agent.config.node_name;
    for word in status.conditions.iter().flatten().filter_map(|now| conditions::change(before, now)) {
        agent.events.normal(&about_node(name), word, format!("Node {name} status is now: {word}"));
    }
}

fn is_ready(status: &NodeStatus) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether anything but the times of looking changed.
fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().flatten().for_each(|c| c.last_heartbeat_time = None);
        status
    };
    timeless(a) != timeless(b)
}

async fn write_status(agent: &Agent, old: &Node, status: &NodeStatus) -> Result<(), client::Error> {
    let mut patch: Value = serde_json::to_value(status).expect("a status is plain data");
    // Lists that merge by key, where this kubelet's is the whole truth.
    if let Some(list) = patch.get_mut("addresses").and_then(Value::as_array_mut) {
        list.push(json!({"$patch": "replace"}));
    }
    let before = serde_json::to_value(&old.status).expect("a status is plain data");
    for field in ["capacity", "allocatable"] {
        let gone: Vec<String> = before[field]
            .as_object()
            .into_iter()
            .flat_map(|o| o.keys().cloned())
            .filter(|key| patch[field].get(key).is_none())
            .collect();
        gone.into_iter().for_each(|key| patch[field][key] = Value::Null);
    }
    let api = agent.client.all::<Node>();
    let patch = Patch::Strategic(json!({"status": patch}));
    api.patch_status(&agent.config.node_name, &PatchParams::default(), &patch).await.map(drop)
}

fn wire(amounts: &Amounts) -> BTreeMap<String, Quantity> {
    amounts.iter().map(|(name, q)| (name.clone(), Quantity(q.to_string()))).collect()
}

async fn node_status(agent: &Agent, old: &Node) -> NodeStatus {
    let config = &agent.config;
    let runtime = agent.runtime.service.status(v1::StatusRequest { verbose: false }).await;
    let version = agent.runtime.service.version(v1::VersionRequest::default()).await.ok();
    let handlers = runtime.as_ref().map(|s| s.runtime_handlers.clone()).unwrap_or_default();
    let addresses = config.node_ips.iter().map(|ip| ("InternalIP", ip.to_string()));
    let addresses = addresses.chain([("Hostname", config.hostname.clone())]);
    NodeStatus {
        capacity: Some(wire(&agent.capacity)),
        allocatable: Some(wire(&agent.facts.allocatable)),
        conditions: Some(conditions::all(old, &runtime, &agent.pressure.now(), Timestamp::now())),
        addresses: Some(addresses.map(|(kind, address)| NodeAddress { type_: kind.to_owned(), address }).collect()),
        daemon_endpoints: config.server.as_ref().map(|server| NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(server.address.port()) }),
        }),
        node_info: Some(system::node_info(&config.version, version.as_ref())),
        images: Some(images(agent).await),
        runtime_handlers: Some(
            handlers.into_iter().map(|h| NodeRuntimeHandler { name: Some(h.name), features: None }).collect(),
        ),
        ..NodeStatus::default()
    }
}

async fn images(agent: &Agent) -> Vec<ContainerImage> {
    let listed = agent.runtime.images.list_images(v1::ListImagesRequest { filter: None }).await;
    let mut images = match listed {
        Ok(answer) => answer.images,
        Err(error) => {
            tracing::warn!(%error, "images could not be listed");
            return Vec::new();
        }
    };
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let told = images.into_iter().take(MAX_IMAGES).map(|image| ContainerImage {
        names: Some(image.repo_digests.into_iter().chain(image.repo_tags).take(MAX_IMAGE_NAMES).collect()),
        size_bytes: i64::try_from(image.size).ok(),
    });
    told.collect()
}
