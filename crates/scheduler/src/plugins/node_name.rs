//! A pod that names its node goes there or nowhere.

use std::sync::Arc;

use super::{ClusterEvent, Plugin, Prepared, Verdict};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

pub(crate) struct NodeName;

struct Named(String);

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        event == ClusterEvent::NodeAdded
    }

    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let name = pod.node_name.clone()?;
        Some(Box::new(Named(name)))
    }
}

impl Prepared for Named {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        Verdict::hopeless_unless(node.name == self.0, "node(s) didn't match the requested node name")
    }
}
