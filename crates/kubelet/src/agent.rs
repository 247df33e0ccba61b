//! What all parts of one kubelet share.

use std::sync::Arc;

use api::{
    core::v1::{Container, Node, ObjectReference, Pod, Service},
    resources::Amounts,
};
use client::{Client, events::Recorder};
use controller_runtime::{Lister, Tasks};
use volumes::NodeFacts;

use crate::{
    backoff::Backoff, cgroups::Cgroups, config::KubeletConfig, eviction::Pressure, image_gc::ImageGc, images::Images,
    pods::PodTable, probe::Prober, references::References, runtime::Runtime, tokens::Tokens,
};

pub(crate) struct Agent {
    pub(crate) config: KubeletConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
    pub(crate) tasks: Tasks,
    pub(crate) events: Recorder,
    /// Pods of this node.
    pub(crate) pods: Lister<Pod>,
    pub(crate) services: Lister<Service>,
    /// This node alone.
    pub(crate) node: Lister<Node>,
    pub(crate) table: Arc<PodTable>,
    pub(crate) references: References,
    pub(crate) tokens: Tokens,
    pub(crate) images: Images,
    pub(crate) prober: Prober,
    /// Of containers that end too often.
    pub(crate) backoff: Backoff,
    pub(crate) cgroups: Cgroups,
    pub(crate) pressure: Pressure,
    pub(crate) image_gc: ImageGc,
    pub(crate) capacity: Amounts,
    pub(crate) facts: NodeFacts,
}

impl Agent {
    pub(crate) fn host_ips(&self) -> Vec<String> {
        self.config.node_ips.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn memory_capacity(&self) -> i64 {
        self.capacity.get("memory").map(|q| q.units()).unwrap_or_default()
    }
}

/// The node as events name it: upstream's kubelet puts the name for the uid.
pub(crate) fn about_node(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Node".to_owned()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

/// The pod as events name it.
pub(crate) fn about_pod(pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        resource_version: pod.metadata.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// A container of the pod as events name it.
pub(crate) fn about_container(pod: &Pod, container: &Container) -> ObjectReference {
    let spec = pod.spec.iter();
    let init = spec.clone().flat_map(|s| s.init_containers.iter().flatten()).any(|c| c.name == container.name);
    let ephemeral =
        spec.clone().flat_map(|s| s.ephemeral_containers.iter().flatten()).any(|c| c.name == container.name);
    let list = match (init, ephemeral) {
        (true, _) => "initContainers",
        (_, true) => "ephemeralContainers",
        _ => "containers",
    };
    ObjectReference { field_path: Some(format!("spec.{list}{{{}}}", container.name)), ..about_pod(pod) }
}
