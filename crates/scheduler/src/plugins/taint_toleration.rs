//! Taints keep pods away that do not tolerate them; soft taints are avoided.

use std::sync::Arc;

use api::{
    Effect,
    core::v1::{Taint, Toleration},
};

use super::{ClusterEvent, Plugin, Prepared, Verdict, normalize_to_largest};
use crate::{cache::Nodes, node_info::NodeInfo, pod_info::PodInfo};

pub(crate) struct TaintToleration;

struct Tolerating(Vec<Toleration>);

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn wakes(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }

    fn prepare(&self, pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let any = nodes.values().any(|n| !n.taints.is_empty());
        any.then(|| Box::new(Tolerating(pod.tolerations.clone())) as Box<dyn Prepared>)
    }
}

impl Prepared for Tolerating {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        match api::untolerated_taint(&node.taints, &self.0, &[Effect::NoSchedule, Effect::NoExecute]) {
            None => Verdict::Fits,
            Some(Taint { key, value, .. }) => {
                let value = value.as_deref().unwrap_or_default();
                Verdict::Hopeless(vec![format!("node(s) had untolerated taint {{{key}: {value}}}").into()])
            }
        }
    }

    fn score(&self, node: &NodeInfo) -> Option<i64> {
        let soft = node.taints.iter().filter(|t| t.effect == Effect::PreferNoSchedule.as_str());
        Some(soft.filter(|taint| !self.0.iter().any(|t| api::tolerates(t, taint))).count() as i64)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_to_largest(scores, true);
    }
}
