//! Nodes whose processors and memory would be used evenly are better.

use std::sync::Arc;

use super::{ClusterEvent, MAX_SCORE, Plugin, Prepared};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

pub(crate) struct BalancedAllocation;

struct Requested(Arc<PodInfo>);

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn wakes(&self, _event: ClusterEvent) -> bool {
        false
    }

    /// Pods that request nothing balance nothing.
    fn prepare(&self, pod: &Arc<PodInfo>, _nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let requests = &pod.requests;
        (requests.milli_cpu > 0 || requests.memory > 0).then(|| Box::new(Requested(pod.clone())) as Box<dyn Prepared>)
    }
}

impl Prepared for Requested {
    fn score(&self, node: &NodeInfo) -> Option<i64> {
        let share = |used: i64, has: i64| if has <= 0 { 1.0 } else { (used as f64 / has as f64).min(1.0) };
        let requests = &self.0.requests;
        let cpu = share(node.requested.milli_cpu + requests.milli_cpu, node.allocatable.milli_cpu);
        let memory = share(node.requested.memory + requests.memory, node.allocatable.memory);
        // The standard deviation of two shares is half their difference.
        Some(((1.0 - (cpu - memory).abs() / 2.0) * MAX_SCORE as f64) as i64)
    }
}
