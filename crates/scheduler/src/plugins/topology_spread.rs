//! Pods are spread over domains of nodes: strictly by constraints that say so, as a preference by the rest, and by
//! default over nodes and zones among the pods of one controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::Effect;

use super::{ClusterEvent, MAX_SCORE, Plugin, Prepared, Verdict};
use crate::{
    cache::Nodes,
    node_info::NodeInfo,
    pod_info::{PodInfo, SpreadConstraint},
};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Upstream's defaults for pods without constraints: the allowed skew over each topology.
const DEFAULTS: [(&str, i64); 2] = [(HOSTNAME, 3), (ZONE, 5)];

pub(crate) struct PodTopologySpread;

struct Counted {
    topology_key: String,
    max_skew: i64,
    /// Matching pods by domain, for the domains that count.
    domains: BTreeMap<String, i64>,
    /// The least count, 0 while there are fewer domains than asked for.
    least: i64,
    /// The pod itself matches and will count.
    itself: i64,
}

struct Spread {
    required: Vec<Counted>,
    preferred: Vec<Counted>,
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn wakes(&self, _event: ClusterEvent) -> bool {
        true
    }

    fn prepare(&self, pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let (mut required, mut preferred) = (Vec::new(), Vec::new());
        for constraint in &pod.spread {
            let counted = count(constraint, pod, nodes);
            if constraint.required { required.push(counted) } else { preferred.push(counted) }
        }
        if pod.spread.is_empty() && pod.owner.is_some() {
            preferred.extend(DEFAULTS.iter().filter_map(|(key, skew)| count_siblings(key, *skew, pod, nodes)));
        }
        if required.is_empty() && preferred.is_empty() {
            return None;
        }
        Some(Box::new(Spread { required, preferred }))
    }
}

fn count(constraint: &SpreadConstraint, pod: &PodInfo, nodes: &Nodes) -> Counted {
    let counts = |node: &&Arc<NodeInfo>| {
        (!constraint.honor_affinity || pod.node_requirement.fits(node))
            && (!constraint.honor_taints
                || api::untolerated_taint(&node.taints, &pod.tolerations, &[Effect::NoSchedule, Effect::NoExecute])
                    .is_none())
    };
    let matching =
        |p: &PodInfo| !p.terminating && p.key.namespace == pod.key.namespace && p.is_selected(&constraint.selector);
    let domains = domains(&constraint.topology_key, nodes.values().filter(counts), matching);
    let enough = domains.len() as i64 >= constraint.min_domains;
    let least = if enough { domains.values().copied().min().unwrap_or_default() } else { 0 };
    Counted {
        topology_key: constraint.topology_key.clone(),
        max_skew: constraint.max_skew,
        domains,
        least,
        itself: pod.is_selected(&constraint.selector).into(),
    }
}

/// Unlike Kubernetes, which gathers the selectors of Services and controllers: siblings are the pods of the same
/// controller.
fn count_siblings(key: &str, max_skew: i64, pod: &PodInfo, nodes: &Nodes) -> Option<Counted> {
    let matching = |p: &PodInfo| !p.terminating && p.key.namespace == pod.key.namespace && p.owner == pod.owner;
    let domains = domains(key, nodes.values(), matching);
    let least = domains.values().copied().min()?;
    Some(Counted { topology_key: key.to_owned(), max_skew, domains, least, itself: 1 })
}

fn domains<'a>(
    key: &str,
    nodes: impl Iterator<Item = &'a Arc<NodeInfo>>,
    matching: impl Fn(&PodInfo) -> bool,
) -> BTreeMap<String, i64> {
    let mut domains = BTreeMap::new();
    for node in nodes.filter(|n| n.exists) {
        if let Some(domain) = node.label(key) {
            let count = node.pods.iter().filter(|p| matching(p)).count() as i64;
            *domains.entry(domain.to_owned()).or_default() += count;
        }
    }
    domains
}

impl Prepared for Spread {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        for counted in &self.required {
            let Some(domain) = node.label(&counted.topology_key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Verdict::Hopeless(vec![reason.into()]);
            };
            let there = counted.domains.get(domain).copied().unwrap_or_default();
            if there + counted.itself - counted.least > counted.max_skew {
                return Verdict::Refused(vec!["node(s) didn't match pod topology spread constraints".into()]);
            }
        }
        Verdict::Fits
    }

    /// The pods already there, weighted so that topologies of few domains count as those of many.
    fn score(&self, node: &NodeInfo) -> Option<i64> {
        if self.preferred.is_empty() {
            return None;
        }
        let cost = |counted: &Counted| {
            let there = counted.domains.get(node.label(&counted.topology_key)?).copied().unwrap_or_default();
            let weight = (counted.domains.len() as f64 + 2.0).ln();
            Some(there as f64 * weight + (counted.max_skew - 1) as f64)
        };
        Some(self.preferred.iter().filter_map(cost).sum::<f64>().round() as i64)
    }

    fn normalize(&self, scores: &mut [i64]) {
        let distinct: BTreeSet<i64> = scores.iter().copied().collect();
        let (Some(&least), Some(&most)) = (distinct.first(), distinct.last()) else { return };
        for score in scores {
            *score = if most == 0 { MAX_SCORE } else { MAX_SCORE * (most + least - *score) / most };
        }
    }
}
