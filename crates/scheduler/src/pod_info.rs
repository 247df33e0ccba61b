//! A pod as the scheduler sees it: parsed once, compact, shared.

use std::collections::BTreeMap;

use api::{
    core::v1::{Pod, PodAffinityTerm, Toleration, TopologySpreadConstraint},
    meta::Time,
};
use apimachinery::LabelSelector;
use controller_runtime::Key;

use crate::{node_selector::NodeRequirement, resources::Resources};

/// Pods that name no scheduler are ours.
pub(crate) const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The reason of the condition of pods that make place for others.
pub(crate) const PREEMPTED: &str = "PreemptionByScheduler";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) ip: String,
    pub(crate) protocol: String,
    pub(crate) port: i32,
}

impl HostPort {
    /// The unspecified address takes the port on all addresses.
    pub(crate) fn conflicts(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || self.ip == ANY || other.ip == ANY)
    }
}

/// Which pods a term of (anti-)affinity speaks of, and the label that groups nodes.
#[derive(Clone, Debug)]
pub(crate) struct PodTerm {
    selector: LabelSelector,
    namespaces: Vec<String>,
    pub(crate) topology_key: String,
    /// For preferences; negative repels.
    pub(crate) weight: i64,
}

impl PodTerm {
    fn new(term: &PodAffinityTerm, own: &Pod, weight: i64) -> Self {
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(own.metadata.namespace.clone().unwrap_or_default());
        }
        let selector = selector(term.label_selector.as_ref(), term.match_label_keys.as_deref(), own);
        Self { selector, namespaces, topology_key: term.topology_key.clone(), weight }
    }

    pub(crate) fn matches(&self, pod: &PodInfo) -> bool {
        (self.namespaces.is_empty() || self.namespaces.iter().any(|n| **n == *pod.key.namespace))
            && pod.is_selected(&self.selector)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SpreadConstraint {
    pub(crate) max_skew: i64,
    pub(crate) topology_key: String,
    pub(crate) required: bool,
    pub(crate) min_domains: i64,
    pub(crate) selector: LabelSelector,
    /// `Honor` for each; otherwise nodes the pod cannot use count too.
    pub(crate) honor_affinity: bool,
    pub(crate) honor_taints: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PodInfo {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) node_name: Option<String>,
    pub(crate) scheduler: String,
    pub(crate) priority: i32,
    /// Others may be put off their node for it, unless its policy is `Never`.
    pub(crate) preempts: bool,
    /// The node that is being cleared for it, as the API has it.
    pub(crate) nominated: Option<String>,
    /// Whether it is going because a pod of higher priority needs the place.
    pub(crate) preempted: bool,
    pub(crate) started: Option<Time>,
    pub(crate) generation: Option<i64>,
    pub(crate) gated: bool,
    pub(crate) terminating: bool,
    pub(crate) terminal: bool,
    /// The uid of the controller that made it, by which siblings are known.
    pub(crate) owner: Option<String>,
    pub(crate) requests: Resources,
    pub(crate) host_ports: Vec<HostPort>,
    pub(crate) node_requirement: NodeRequirement,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) affinity: Vec<PodTerm>,
    pub(crate) anti_affinity: Vec<PodTerm>,
    pub(crate) preferred: Vec<PodTerm>,
    pub(crate) spread: Vec<SpreadConstraint>,
    pub(crate) images: Vec<String>,
    /// The last word the API has on its scheduling: reason and message of a `PodScheduled=False` condition.
    pub(crate) refused: Option<(String, String)>,
}

impl PodInfo {
    pub(crate) fn new(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let affinity = spec.affinity.as_ref();
        let attract = affinity.and_then(|a| a.pod_affinity.as_ref());
        let repel = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
        let terms = |terms: Option<&Vec<PodAffinityTerm>>| {
            terms.into_iter().flatten().map(|t| PodTerm::new(t, pod, 0)).collect::<Vec<_>>()
        };
        let attracted = attract.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        let repelled = repel.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        let preferred = attracted
            .into_iter()
            .flatten()
            .map(|t| PodTerm::new(&t.pod_affinity_term, pod, t.weight.into()))
            .chain(
                repelled.into_iter().flatten().map(|t| PodTerm::new(&t.pod_affinity_term, pod, -i64::from(t.weight))),
            )
            .collect();
        let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let status = pod.status.as_ref();
        let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or_default();
        Self {
            key: Key::new(
                pod.metadata.namespace.as_deref().unwrap_or_default(),
                pod.metadata.name.as_deref().unwrap_or_default(),
            ),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            node_name: spec.node_name.clone().filter(|n| !n.is_empty()),
            scheduler: spec.scheduler_name.clone().unwrap_or_else(|| DEFAULT_SCHEDULER.to_owned()),
            priority: spec.priority.unwrap_or_default(),
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            nominated: status.and_then(|s| s.nominated_node_name.clone()).filter(|n| !n.is_empty()),
            preempted: status
                .and_then(|s| s.conditions.as_ref())
                .into_iter()
                .flatten()
                .any(|c| c.type_ == "DisruptionTarget" && c.status == "True" && c.reason.as_deref() == Some(PREEMPTED)),
            started: status.and_then(|s| s.start_time.clone()),
            generation: pod.metadata.generation,
            gated: spec.scheduling_gates.as_ref().is_some_and(|g| !g.is_empty()),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            terminal: phase == "Succeeded" || phase == "Failed",
            owner: api::controller_of(&pod.metadata).map(|o| o.uid.clone()),
            requests: Resources::from_amounts(&api::resources::pod_requests(&spec)),
            host_ports: containers().flat_map(|c| c.ports.iter().flatten()).filter_map(host_port).collect(),
            node_requirement: NodeRequirement::new(&spec),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            affinity: terms(attract.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            anti_affinity: terms(repel.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())),
            preferred,
            spread: spec.topology_spread_constraints.iter().flatten().map(|c| spread(c, pod)).collect(),
            images: containers().filter_map(|c| c.image.clone()).collect(),
            refused: status.and_then(|s| s.conditions.as_ref()).into_iter().flatten().find_map(|c| {
                (c.type_ == "PodScheduled" && c.status == "False")
                    .then(|| (c.reason.clone().unwrap_or_default(), c.message.clone().unwrap_or_default()))
            }),
        }
    }

    pub(crate) fn is_selected(&self, selector: &LabelSelector) -> bool {
        selector.matches(|key| self.labels.get(key).map(String::as_str))
    }
}

fn host_port(port: &api::core::v1::ContainerPort) -> Option<HostPort> {
    let host_port = port.host_port.filter(|p| *p > 0)?;
    let or =
        |text: &Option<String>, default: &str| text.as_deref().filter(|t| !t.is_empty()).unwrap_or(default).to_owned();
    Some(HostPort { ip: or(&port.host_ip, "0.0.0.0"), protocol: or(&port.protocol, "TCP"), port: host_port })
}

fn spread(constraint: &TopologySpreadConstraint, pod: &Pod) -> SpreadConstraint {
    SpreadConstraint {
        max_skew: constraint.max_skew.into(),
        topology_key: constraint.topology_key.clone(),
        required: constraint.when_unsatisfiable == "DoNotSchedule",
        min_domains: constraint.min_domains.unwrap_or(1).into(),
        selector: selector(constraint.label_selector.as_ref(), constraint.match_label_keys.as_deref(), pod),
        honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    }
}

/// A selector as written, and equality with the pod's own values of `match_keys`. One that cannot be read selects
/// nothing; validation lets none through.
fn selector(written: Option<&api::meta::LabelSelector>, match_keys: Option<&[String]>, own: &Pod) -> LabelSelector {
    let tree = written.and_then(|s| serde_json::to_value(s).ok());
    let Ok(mut selector) = LabelSelector::from_object(tree.as_ref()) else { return LabelSelector::nothing() };
    let labels = own.metadata.labels.as_ref();
    let mut requirements = selector.requirements().to_vec();
    for key in match_keys.into_iter().flatten() {
        if let Some(value) = labels.and_then(|l| l.get(key)) {
            requirements.push(apimachinery::Requirement {
                key: key.clone(),
                operator: apimachinery::Operator::In,
                values: vec![value.clone()],
            });
        }
    }
    if requirements.len() > selector.requirements().len() {
        selector = LabelSelector::new(requirements);
    }
    selector
}
