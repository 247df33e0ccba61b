//! Cordoned nodes take no pods but those that tolerate it.

use std::sync::Arc;

use api::core::v1::Taint;

use super::{ClusterEvent, Plugin, Prepared, Verdict};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

pub(crate) struct NodeUnschedulable;

struct Uncordoned;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }

    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        let tolerated = pod.tolerations.iter().any(|t| api::tolerates(t, &taint));
        (!tolerated).then(|| Box::new(Uncordoned) as Box<dyn Prepared>)
    }
}

impl Prepared for Uncordoned {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        Verdict::hopeless_unless(!node.unschedulable, "node(s) were unschedulable")
    }
}
