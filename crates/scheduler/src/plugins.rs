//! The rules of placement, one file each. A plugin looks at a pod and the snapshot once, and gives what it then asks
//! of each node; `None` when it has nothing to say about this pod.

mod balanced_allocation;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;
mod topology_spread;

use std::{borrow::Cow, sync::Arc};

use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

/// The best score of a node, after normalization.
pub(crate) const MAX_SCORE: i64 = 100;

/// What happened in the cluster that may make a refused pod fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClusterEvent {
    NodeAdded,
    NodeChanged,
    /// A pod was bound, or a bound pod changed.
    PodAdded,
    /// A bound pod went away.
    PodRemoved,
}

/// What a filter says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fits,
    /// Each reason is counted once a node in the pod's condition.
    Refused(Vec<Cow<'static, str>>),
    /// As `Refused`, and no pod that goes away from the node can change it.
    Hopeless(Vec<Cow<'static, str>>),
}

impl Verdict {
    fn fits_if(fits: bool, reason: &'static str) -> Self {
        if fits { Self::Fits } else { Self::Refused(vec![reason.into()]) }
    }

    fn hopeless_unless(fits: bool, reason: &'static str) -> Self {
        if fits { Self::Fits } else { Self::Hopeless(vec![reason.into()]) }
    }
}

/// A plugin prepared for one pod.
pub(crate) trait Prepared {
    fn filter(&self, _node: &NodeInfo) -> Verdict {
        Verdict::Fits
    }

    /// More is better, in any range; see `normalize`.
    fn score(&self, _node: &NodeInfo) -> Option<i64> {
        None
    }

    /// Brings the scores of all nodes into 0 to [`MAX_SCORE`].
    fn normalize(&self, _scores: &mut [i64]) {}
}

pub(crate) trait Plugin: Sync {
    /// Upstream's name.
    fn name(&self) -> &'static str;

    /// How much its score counts; 0 for plugins that only filter.
    fn weight(&self) -> i64 {
        0
    }

    /// Whether the event may make a pod that this plugin refused fit.
    fn wakes(&self, event: ClusterEvent) -> bool;

    fn prepare(&self, pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>>;
}

/// All plugins, cheapest and most selective filters first, with upstream's weights.
pub(crate) const ALL: &[&dyn Plugin] = &[
    &node_unschedulable::NodeUnschedulable,
    &node_name::NodeName,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &node_resources_fit::NodeResourcesFit,
    &topology_spread::PodTopologySpread,
    &inter_pod_affinity::InterPodAffinity,
    &balanced_allocation::BalancedAllocation,
    &image_locality::ImageLocality,
];

/// Scales scores so that the largest becomes the best score; with `reverse` the smallest is best.
fn normalize_to_largest(scores: &mut [i64], reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        *score = if largest == 0 { 0 } else { *score * MAX_SCORE / largest };
        if reverse {
            *score = MAX_SCORE - *score;
        }
    }
}

#[cfg(test)]
mod tests;
