//! Pods that want to be near others, or apart from them.

use std::{collections::HashMap, sync::Arc};

use super::{ClusterEvent, MAX_SCORE, Plugin, Prepared, Verdict};
use crate::{
    cache::Nodes,
    node_info::NodeInfo,
    pod_info::{PodInfo, PodTerm},
};

/// How much a running pod's required affinity draws a newcomer that it matches; upstream's default.
const HARD_AFFINITY_WEIGHT: i64 = 1;

pub(crate) struct InterPodAffinity;

/// Weight or number of matching pods by topology key and domain.
type Domains = HashMap<(String, String), i64>;

struct Apart {
    pod: Arc<PodInfo>,
    /// For each of the pod's required affinity terms.
    wanted: Vec<Domains>,
    /// No pod matches the terms yet and the pod matches them itself: it may be the first of its group.
    first: bool,
    /// Where the pod's own anti-affinity finds a match.
    shunned: Domains,
    /// Where a running pod's anti-affinity matches the pod.
    forbidden: Domains,
    preferred: Domains,
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn wakes(&self, _event: ClusterEvent) -> bool {
        true
    }

    fn prepare(&self, pod: &Arc<PodInfo>, nodes: &Arc<Nodes>) -> Option<Box<dyn Prepared>> {
        let mut apart = Apart {
            pod: pod.clone(),
            wanted: pod.affinity.iter().map(|_| Domains::new()).collect(),
            first: false,
            shunned: Domains::new(),
            forbidden: Domains::new(),
            preferred: Domains::new(),
        };
        for node in nodes.values().filter(|n| n.exists) {
            for other in &node.pods {
                apart.count(node, other);
            }
        }
        apart.first = apart.wanted.iter().all(HashMap::is_empty) && pod.affinity.iter().all(|term| term.matches(pod));
        let silent = pod.affinity.is_empty()
            && apart.shunned.is_empty()
            && apart.forbidden.is_empty()
            && apart.preferred.is_empty();
        (!silent).then(|| Box::new(apart) as Box<dyn Prepared>)
    }
}

fn add(domains: &mut Domains, term: &PodTerm, node: &NodeInfo, weight: i64) {
    if let Some(domain) = node.label(&term.topology_key) {
        *domains.entry((term.topology_key.clone(), domain.to_owned())).or_default() += weight;
    }
}

fn at(domains: &Domains, key: &str, node: &NodeInfo) -> i64 {
    node.label(key).and_then(|d| domains.get(&(key.to_owned(), d.to_owned()))).copied().unwrap_or_default()
}

impl Apart {
    fn count(&mut self, node: &NodeInfo, other: &Arc<PodInfo>) {
        let pod = self.pod.clone();
        for (term, domains) in pod.affinity.iter().zip(&mut self.wanted) {
            // Upstream counts pods that match all terms, so that one group satisfies them together.
            if pod.affinity.iter().all(|t| t.matches(other)) {
                add(domains, term, node, 1);
            }
        }
        for term in pod.anti_affinity.iter().filter(|t| t.matches(other)) {
            add(&mut self.shunned, term, node, 1);
        }
        for term in other.anti_affinity.iter().filter(|t| t.matches(&pod)) {
            add(&mut self.forbidden, term, node, 1);
        }
        for term in pod.preferred.iter().filter(|t| t.matches(other)) {
            add(&mut self.preferred, term, node, term.weight);
        }
        for term in other.preferred.iter().filter(|t| t.matches(&pod)) {
            add(&mut self.preferred, term, node, term.weight);
        }
        for term in other.affinity.iter().filter(|t| t.matches(&pod)) {
            add(&mut self.preferred, term, node, HARD_AFFINITY_WEIGHT);
        }
    }

    fn is_near(&self, node: &NodeInfo) -> bool {
        let labelled = self.pod.affinity.iter().all(|t| node.label(&t.topology_key).is_some());
        let near = |(term, domains): (&PodTerm, &Domains)| at(domains, &term.topology_key, node) > 0;
        labelled && (self.first || self.pod.affinity.iter().zip(&self.wanted).all(near))
    }
}

impl Prepared for Apart {
    fn filter(&self, node: &NodeInfo) -> Verdict {
        let here = |domains: &Domains| domains.keys().any(|(key, domain)| node.label(key) == Some(domain));
        if !self.pod.affinity.is_empty() && !self.is_near(node) {
            return Verdict::Hopeless(vec!["node(s) didn't match pod affinity rules".into()]);
        }
        if here(&self.shunned) {
            return Verdict::Refused(vec!["node(s) didn't match pod anti-affinity rules".into()]);
        }
        Verdict::fits_if(!here(&self.forbidden), "node(s) didn't satisfy existing pods anti-affinity rules")
    }

    fn score(&self, node: &NodeInfo) -> Option<i64> {
        if self.preferred.is_empty() {
            return None;
        }
        let here = self.preferred.iter().filter(|((key, domain), _)| node.label(key) == Some(domain));
        Some(here.map(|(_, weight)| weight).sum())
    }

    fn normalize(&self, scores: &mut [i64]) {
        let (Some(&least), Some(&most)) = (scores.iter().min(), scores.iter().max()) else { return };
        for score in scores {
            *score = if most == least { 0 } else { MAX_SCORE * (*score - least) / (most - least) };
        }
    }
}
