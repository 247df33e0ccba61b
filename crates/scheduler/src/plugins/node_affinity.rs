//! `nodeSelector` and node affinity.

use std::sync::Arc;

use super::{ClusterEvent, Plugin, Prepared, Verdict, normalize_to_largest};
use crate::{cache::Nodes, node_info::NodeInfo, node_selector::NodeRequirement, pod_info::PodInfo};

pub(crate) struct NodeAffinity;

struct Required(NodeRequirement);

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }

    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let requirement = &pod.node_requirement;
        if requirement.asks_nothing() && requirement.prefers_nothing() {
            return None;
        }
        Some(Box::new(Required(requirement.clone())))
    }
}

impl Prepared for Required {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        Verdict::hopeless_unless(self.0.fits(node), "node(s) didn't match Pod's node affinity/selector")
    }

    fn score(&self, node: &NodeInfo) -> Option<i64> {
        (!self.0.prefers_nothing()).then(|| self.0.preference(node))
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_to_largest(scores, false);
    }
}
