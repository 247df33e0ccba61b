//! All nodes and the pods on them, including pods placed but not yet bound. A snapshot costs a pointer; what changes
//! afterwards is copied node by node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::core::v1::Node;

use crate::{node_info::NodeInfo, pod_info::PodInfo};

pub(crate) type Nodes = BTreeMap<String, Arc<NodeInfo>>;

#[derive(Default)]
pub(crate) struct Cache {
    nodes: Arc<Nodes>,
    /// Where each counted pod is, by uid.
    placed: HashMap<String, Placed>,
}

struct Placed {
    node: String,
    /// Placed by us, and not yet seen bound.
    assumed: bool,
}

impl Cache {
    pub(crate) fn snapshot(&self) -> Arc<Nodes> {
        self.nodes.clone()
    }

    fn node_mut(&mut self, name: &str) -> &mut NodeInfo {
        let nodes = Arc::make_mut(&mut self.nodes);
        let node = nodes
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(NodeInfo { name: name.to_owned(), ..NodeInfo::default() }));
        Arc::make_mut(node)
    }

    /// Tells whether something changed that matters to where pods fit.
    pub(crate) fn set_node(&mut self, node: &Node) -> bool {
        self.node_mut(node.metadata.name.as_deref().unwrap_or_default()).set_node(node)
    }

    pub(crate) fn remove_node(&mut self, name: &str) {
        if self.nodes.get(name).is_some_and(|n| n.pods.is_empty()) {
            Arc::make_mut(&mut self.nodes).remove(name);
        } else if self.nodes.contains_key(name) {
            self.node_mut(name).exists = false;
        }
    }

    /// The API shows the pod on its node.
    pub(crate) fn set_pod(&mut self, pod: Arc<PodInfo>) {
        let Some(node) = pod.node_name.clone() else { return };
        self.remove_pod(&pod.uid);
        self.place(pod, node, false);
    }

    /// We have chosen `node` and are binding.
    pub(crate) fn assume(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.place(pod, node.to_owned(), true);
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: String, assumed: bool) {
        let uid = pod.uid.clone();
        self.node_mut(&node).add(pod);
        self.placed.insert(uid, Placed { node, assumed });
    }

    /// Binding failed. Does nothing once the API has shown the pod bound.
    pub(crate) fn forget(&mut self, uid: &str) {
        if self.is_assumed(uid) {
            self.remove_pod(uid);
        }
    }

    pub(crate) fn is_assumed(&self, uid: &str) -> bool {
        self.placed.get(uid).is_some_and(|p| p.assumed)
    }

    /// Whether the pod was counted.
    pub(crate) fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(placed) = self.placed.remove(uid) else { return false };
        let node = self.node_mut(&placed.node);
        node.remove(uid);
        if !node.exists && node.pods.is_empty() {
            Arc::make_mut(&mut self.nodes).remove(&placed.node);
        }
        true
    }
}
