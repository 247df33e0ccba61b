//! A host port is given once a node.

use std::sync::Arc;

use super::{ClusterEvent, Plugin, Prepared, Verdict};
use crate::{
    cache::Nodes,
    node_info::NodeInfo,
    pod_info::{HostPort, PodInfo},
};

pub(crate) struct NodePorts;

struct Wanted(Vec<HostPort>);

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::PodRemoved)
    }

    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        (!pod.host_ports.is_empty()).then(|| Box::new(Wanted(pod.host_ports.clone())) as Box<dyn Prepared>)
    }
}

impl Prepared for Wanted {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        let free = !self.0.iter().any(|port| node.has_taken(port));
        Verdict::fits_if(free, "node(s) didn't have free ports for the requested pod ports")
    }
}
