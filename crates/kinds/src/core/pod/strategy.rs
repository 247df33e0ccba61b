//! What creating and updating a pod sets besides what was asked: a fresh status, and selectors completed from the
//! pod's labels.

use std::collections::BTreeMap;

use api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use api::meta::{LabelSelector, LabelSelectorRequirement};

pub(super) fn prepare_for_create(pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    let mut status = PodStatus {
        phase: Some("Pending".to_owned()),
        qos_class: Some(api::resources::computed_qos_class(spec).as_str().to_owned()),
        ..PodStatus::default()
    };
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        status.conditions = Some(vec![gated()]);
    }
    pod.status = Some(status);
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    complete_affinity(spec, &labels);
    complete_spread(spec, &labels);
}

/// The class is settled when the pod is made; who writes a status need not know it.
pub(super) fn prepare_for_status_update(new: &mut Pod, old: &Pod) {
    let status = new.status.get_or_insert_default();
    if status.qos_class.as_deref().unwrap_or_default().is_empty() {
        status.qos_class = old.status.as_ref().and_then(|status| status.qos_class.clone());
    }
}

fn gated() -> PodCondition {
    PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        ..PodCondition::default()
    }
}

/// `matchLabelKeys` become requirements with the pod's own values, so that the scheduler sees selectors only.
fn complete_affinity(spec: &mut PodSpec, labels: &BTreeMap<String, String>) {
    let Some(affinity) = &mut spec.affinity else { return };
    let mut terms = Vec::new();
    if let Some(affinity) = &mut affinity.pod_affinity {
        terms.extend(affinity.required_during_scheduling_ignored_during_execution.iter_mut().flatten());
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
        terms.extend(preferred.map(|term| &mut term.pod_affinity_term));
    }
    if let Some(affinity) = &mut affinity.pod_anti_affinity {
        terms.extend(affinity.required_during_scheduling_ignored_during_execution.iter_mut().flatten());
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
        terms.extend(preferred.map(|term| &mut term.pod_affinity_term));
    }
    for term in terms {
        let Some(selector) = &mut term.label_selector else { continue };
        add_requirements(selector, term.match_label_keys.as_deref(), "In", labels);
        add_requirements(selector, term.mismatch_label_keys.as_deref(), "NotIn", labels);
    }
}

fn complete_spread(spec: &mut PodSpec, labels: &BTreeMap<String, String>) {
    for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
        let Some(keys) = constraint.match_label_keys.as_deref().filter(|keys| !keys.is_empty()) else { continue };
        if let Some(selector) = &mut constraint.label_selector {
            add_requirements(selector, Some(keys), "In", labels);
        }
    }
}

fn add_requirements(
    selector: &mut LabelSelector,
    keys: Option<&[String]>,
    operator: &str,
    labels: &BTreeMap<String, String>,
) {
    for key in keys.unwrap_or_default() {
        let Some(value) = labels.get(key) else { continue };
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: Some(vec![value.clone()]),
        });
    }
}
