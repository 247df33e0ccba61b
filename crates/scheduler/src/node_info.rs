//! A node as the scheduler sees it, with the sums over its pods kept up to date.

use std::{collections::BTreeMap, sync::Arc};

use api::core::v1::{Node, Taint};

use crate::{
    pod_info::{HostPort, PodInfo},
    resources::Resources,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct NodeInfo {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Resources,
    pub(crate) allowed_pods: i64,
    /// Sizes in bytes of the images it has, by every name they have.
    pub(crate) images: BTreeMap<String, i64>,
    pub(crate) requested: Resources,
    /// CPU in thousandths and memory, with what is not requested assumed.
    pub(crate) assumed_use: (i64, i64),
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Whether the API has such a node; pods may be seen before it.
    pub(crate) exists: bool,
}

impl NodeInfo {
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Takes what the API says of the node, and tells whether any of it matters to where pods fit. Heartbeats do not.
    pub(crate) fn set_node(&mut self, node: &Node) -> bool {
        let before = self.clone_facts();
        self.read(node);
        before != self.clone_facts()
    }

    fn clone_facts(&self) -> (BTreeMap<String, String>, Vec<Taint>, bool, Resources, i64, bool) {
        let (labels, taints, allocatable) = (self.labels.clone(), self.taints.clone(), self.allocatable.clone());
        (labels, taints, self.unschedulable, allocatable, self.allowed_pods, self.exists)
    }

    fn read(&mut self, node: &Node) {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let amounts = api::resources::amounts(status.and_then(|s| s.allocatable.as_ref()));
        self.name = node.metadata.name.clone().unwrap_or_default();
        self.labels = node.metadata.labels.clone().unwrap_or_default();
        self.taints = spec.and_then(|s| s.taints.clone()).unwrap_or_default();
        self.unschedulable = spec.and_then(|s| s.unschedulable).unwrap_or_default();
        self.allowed_pods = amounts.get("pods").map_or(0, |q| q.units());
        self.allocatable = Resources::from_amounts(&amounts);
        self.images = status
            .and_then(|s| s.images.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|i| {
                let size = i.size_bytes.unwrap_or_default();
                i.names.iter().flatten().map(move |name| (name.clone(), size))
            })
            .collect();
        self.exists = true;
    }

    pub(crate) fn add(&mut self, pod: Arc<PodInfo>) {
        self.count(&pod, 1);
        self.pods.push(pod);
    }

    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(at) = self.pods.iter().position(|p| p.uid == uid) {
            let pod = self.pods.swap_remove(at);
            self.count(&pod, -1);
        }
    }

    fn count(&mut self, pod: &PodInfo, sign: i64) {
        self.requested.add(&pod.requests, sign);
        let (cpu, memory) = pod.requests.with_defaults();
        self.assumed_use.0 += sign * cpu;
        self.assumed_use.1 += sign * memory;
    }

    pub(crate) fn has_taken(&self, port: &HostPort) -> bool {
        self.pods.iter().flat_map(|p| &p.host_ports).any(|taken| taken.conflicts(port))
    }
}
