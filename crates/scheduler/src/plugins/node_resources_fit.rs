//! What the pod requests must be free on the node; nodes with more left are better (least allocated).

use std::{borrow::Cow, sync::Arc};

use super::{ClusterEvent, MAX_SCORE, Plugin, Prepared, Verdict};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

pub(crate) struct NodeResourcesFit;

struct Requested(Arc<PodInfo>);

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged | ClusterEvent::PodRemoved)
    }

    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        Some(Box::new(Requested(pod.clone())))
    }
}

impl Prepared for Requested {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        let wanted = &self.0.requests;
        let (has, used) = (&node.allocatable, &node.requested);
        let mut hopeless = false;
        let mut lacks = |wanted: i64, has: i64, used: i64| {
            hopeless |= wanted > 0 && wanted > has;
            wanted > 0 && wanted > has - used
        };
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        if node.pods.len() as i64 + 1 > node.allowed_pods {
            reasons.push("Too many pods".into());
        }
        if lacks(wanted.milli_cpu, has.milli_cpu, used.milli_cpu) {
            reasons.push("Insufficient cpu".into());
        }
        if lacks(wanted.memory, has.memory, used.memory) {
            reasons.push("Insufficient memory".into());
        }
        if lacks(wanted.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage) {
            reasons.push("Insufficient ephemeral-storage".into());
        }
        for (name, wanted) in &wanted.scalars {
            let amount = |of: &std::collections::BTreeMap<String, i64>| of.get(name).copied().unwrap_or_default();
            if lacks(*wanted, amount(&has.scalars), amount(&used.scalars)) {
                reasons.push(format!("Insufficient {name}").into());
            }
        }
        match (reasons.is_empty(), hopeless) {
            (true, _) => Verdict::Fits,
            (false, true) => Verdict::Hopeless(reasons),
            (false, false) => Verdict::Refused(reasons),
        }
    }

    fn score(&self, node: &NodeInfo) -> Option<i64> {
        let (cpu, memory) = self.0.requests.with_defaults();
        let free = |wanted: i64, used: i64, has: i64| {
            if has <= 0 || used + wanted > has { 0 } else { (has - used - wanted) * MAX_SCORE / has }
        };
        let cpu = free(cpu, node.assumed_use.0, node.allocatable.milli_cpu);
        let memory = free(memory, node.assumed_use.1, node.allocatable.memory);
        Some((cpu + memory) / 2)
    }
}
