//! Which nodes and which neighbours a pod wants, and node selectors wherever they occur.

use api::core::v1::{Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::rules;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate(affinity: &Affinity, path: &Path, errors: &mut ErrorList) {
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            node_selector(selector, &path.child(REQUIRED), errors);
        }
        let preferred = rules::slice(&node.preferred_during_scheduling_ignored_during_execution);
        for (index, term) in preferred.iter().enumerate() {
            let at = path.child(PREFERRED).index(index);
            weight(term.weight, &at, errors);
            node_term(&term.preference, false, &at.child("preference"), errors);
        }
    }
    let near = affinity.pod_affinity.as_ref().map(|a| {
        let required = &a.required_during_scheduling_ignored_during_execution;
        (required, &a.preferred_during_scheduling_ignored_during_execution, "podAffinity")
    });
    let far = affinity.pod_anti_affinity.as_ref().map(|a| {
        let required = &a.required_during_scheduling_ignored_during_execution;
        (required, &a.preferred_during_scheduling_ignored_during_execution, "podAntiAffinity")
    });
    for (required, preferred, field) in [near, far].into_iter().flatten() {
        let path = path.child(field);
        for (index, term) in rules::slice(required).iter().enumerate() {
            pod_term(term, &path.child(REQUIRED).index(index), errors);
        }
        for (index, term) in rules::slice(preferred).iter().enumerate() {
            let at = path.child(PREFERRED).index(index);
            weight(term.weight, &at, errors);
            pod_term(&term.pod_affinity_term, &at.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(weight: i32, path: &Path, errors: &mut ErrorList) {
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// Nodes by labels and fields. Some term must match.
fn node_selector(selector: &NodeSelector, path: &Path, errors: &mut ErrorList) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(term, true, &path.index(index), errors);
    }
}

/// Wrong values are let through in preferences: on the only node they do no harm.
fn node_term(term: &NodeSelectorTerm, strict: bool, path: &Path, errors: &mut ErrorList) {
    for (index, requirement) in rules::slice(&term.match_expressions).iter().enumerate() {
        node_expression(requirement, strict, &path.child("matchExpressions").index(index), errors);
    }
    for (index, requirement) in rules::slice(&term.match_fields).iter().enumerate() {
        node_field(requirement, &path.child("matchFields").index(index), errors);
    }
}

fn node_expression(requirement: &NodeSelectorRequirement, strict: bool, path: &Path, errors: &mut ErrorList) {
    let values = rules::slice(&requirement.values);
    match requirement.operator.as_str() {
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(Error::required(&path.child("values"), why));
            }
        }
        operator => {
            rules::set_operator(operator, values.len(), path, errors);
        }
    }
    rules::qualified_name(&requirement.key, &path.child("key"), errors);
    if strict {
        for (index, value) in values.iter().enumerate() {
            let at = path.child("values").index(index);
            rules::invalid_each(value, validation::label_value(value), &at, errors);
        }
    }
}

fn node_field(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut ErrorList) {
    let values = rules::slice(&requirement.values);
    match requirement.operator.as_str() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(Error::required(&path.child("values"), why));
            }
        }
        other => errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if requirement.key == "metadata.name" {
        for (index, value) in values.iter().enumerate() {
            rules::subdomain(value, &path.child("values").index(index), errors);
        }
    } else {
        let why = "not a valid field selector key";
        errors.push(Error::invalid(&path.child("key"), requirement.key.as_str(), why));
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    if let Some(selector) = &term.label_selector {
        rules::label_selector(selector, &path.child("labelSelector"), errors);
    }
    if let Some(selector) = &term.namespace_selector {
        rules::label_selector(selector, &path.child("namespaceSelector"), errors);
    }
    for namespace in rules::slice(&term.namespaces) {
        rules::label(namespace, &path.child("namespace"), errors);
    }
    label_keys(term, path, errors);
    if term.topology_key.is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    }
    rules::qualified_name(&term.topology_key, &path.child("topologyKey"), errors);
}

fn label_keys(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    let (matching, differing) = (rules::slice(&term.match_label_keys), rules::slice(&term.mismatch_label_keys));
    for (keys, field) in [(matching, "matchLabelKeys"), (differing, "mismatchLabelKeys")] {
        let at = path.child(field);
        if !keys.is_empty() && term.label_selector.is_none() {
            errors.push(Error::forbidden(&at, "must not be specified when labelSelector is not set"));
        }
        for (index, key) in keys.iter().enumerate() {
            rules::qualified_name(key, &at.index(index), errors);
            let selected = term.label_selector.as_ref().and_then(|s| s.match_labels.as_ref());
            if selected.is_some_and(|labels| labels.contains_key(key)) {
                let why = format!("exists in both {field} and labelSelector");
                errors.push(Error::invalid(&at.index(index), key.as_str(), why));
            }
        }
    }
    for (index, key) in matching.iter().enumerate() {
        if differing.contains(key) {
            let why = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(Error::invalid(&path.child("matchLabelKeys").index(index), key.as_str(), why));
        }
    }
}
