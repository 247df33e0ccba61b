//! What may change of a pod: images, a deadline, more tolerations, fewer scheduling gates. All else is as it was made.

use api::core::v1::{Affinity, Container, NodeAffinity, NodeSelectorRequirement, Pod, PodSpec, Toleration};
use apimachinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use super::validate;
use crate::core::pod_spec;
use crate::rules;

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = validate::lasting(new);
    let none = PodSpec::default();
    let (spec, before) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec");
    let at = Path::new("metadata").child("annotations");
    let (notes, notes_before) = (new.metadata.annotations.as_ref(), old.metadata.annotations.as_ref());
    pod_spec::annotations::update(notes, notes_before, &at, &mut errors);
    pod_spec::annotations::validate(notes, spec, &at, &mut errors);
    let same_count = containers(&spec.containers, &before.containers, &path.child("containers"), &mut errors)
        & containers(
            rules::slice(&spec.init_containers),
            rules::slice(&before.init_containers),
            &path.child("initContainers"),
            &mut errors,
        );
    if !same_count || !deadline(spec, before, &path.child("activeDeadlineSeconds"), &mut errors) {
        return errors;
    }
    tolerations(spec, before, &path.child("tolerations"), &mut errors);
    gates(spec, before, &path.child("schedulingGates"), &mut errors);
    rest(spec, before, &path, &mut errors);
    errors
}

/// Whether there are as many as before, so that they can be compared.
fn containers(new: &[Container], old: &[Container], path: &Path, errors: &mut ErrorList) -> bool {
    if new.len() != old.len() {
        errors.push(Error::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (index, ctr) in new.iter().enumerate() {
        // Upstream says this twice: here, and where the whole pod is judged.
        let (image, at) = (rules::text(&ctr.image), path.index(index).child("image"));
        if image.is_empty() {
            errors.push(Error::required(&at, ""));
        }
        if image.trim() != image {
            errors.push(Error::invalid(&at, image, "must not have leading or trailing whitespace"));
        }
    }
    true
}

/// A deadline may come and draw nearer.
fn deadline(spec: &PodSpec, before: &PodSpec, path: &Path, errors: &mut ErrorList) -> bool {
    match (spec.active_deadline_seconds, before.active_deadline_seconds) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            rules::in_range(seconds, 0, i32::MAX.into(), path, errors);
            false
        }
        (Some(seconds), Some(was)) if seconds > was => {
            errors.push(Error::invalid(path, seconds, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            errors.push(Error::invalid(path, Value::Null, why));
            true
        }
        _ => true,
    }
}

fn tolerations(spec: &PodSpec, before: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let now = rules::slice(&spec.tolerations);
    let kept = |old: &Toleration| {
        now.iter().any(|new| {
            let same_time = Toleration { toleration_seconds: new.toleration_seconds, ..old.clone() };
            *new == same_time
        })
    };
    if !rules::slice(&before.tolerations).iter().all(kept) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, why));
        return;
    }
    // Upstream judges them here too.
    pod_spec::validate::tolerations(now, path, errors);
}

fn gates(spec: &PodSpec, before: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let old = rules::slice(&before.scheduling_gates);
    for (index, gate) in rules::slice(&spec.scheduling_gates).iter().enumerate() {
        if !old.contains(gate) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.push(Error::forbidden(&path.index(index).child("name"), why));
        }
    }
}

/// With everything that may change set back, nothing must differ.
fn rest(spec: &PodSpec, before: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut munged = spec.clone();
    let images = |new: &mut [Container], old: &[Container]| {
        for (new, old) in new.iter_mut().zip(old) {
            new.image = old.image.clone();
        }
    };
    images(&mut munged.containers, &before.containers);
    images(munged.init_containers.as_deref_mut().unwrap_or_default(), rules::slice(&before.init_containers));
    munged.active_deadline_seconds = before.active_deadline_seconds;
    munged.tolerations = before.tolerations.clone();
    munged.scheduling_gates = before.scheduling_gates.clone();
    if before.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0)
        && munged.termination_grace_period_seconds == Some(1)
    {
        munged.termination_grace_period_seconds = before.termination_grace_period_seconds;
    }
    if !rules::slice(&before.scheduling_gates).is_empty() {
        narrow_placement(&mut munged, before, path, errors);
    }
    if munged != *before {
        let changes = difference(before, &munged);
        let why = format!("pod updates may not change fields other than {CHANGEABLE}\n{changes}");
        errors.push(Error::forbidden(path, why));
    }
}

/// While a pod is gated, where it may run can be narrowed down.
fn narrow_placement(munged: &mut PodSpec, before: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if munged.node_selector != before.node_selector {
        let selector = munged.node_selector.clone().unwrap_or_default();
        let mut kept = before.node_selector.iter().flatten();
        if kept.any(|(key, value)| selector.get(key) != Some(value)) {
            let shown = serde_json::to_value(&selector).unwrap_or_default();
            let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(Error::invalid(&path.child("nodeSelector"), shown, why));
        }
        munged.node_selector = before.node_selector.clone();
    }
    let node = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (now, was) = (node(munged), node(before));
    if now == was {
        return;
    }
    let at = path.children(&["affinity", "nodeAffinity"]);
    if let Some(was) = &was {
        narrow_affinity(now.as_ref(), was, &at, errors);
    }
    match (&mut munged.affinity, &before.affinity) {
        (None, _) => {
            munged.affinity =
                was.map(|node_affinity| Affinity { node_affinity: Some(node_affinity), ..Affinity::default() })
        }
        (Some(affinity), None) if affinity.pod_affinity.is_none() && affinity.pod_anti_affinity.is_none() => {
            munged.affinity = None;
        }
        (Some(affinity), _) => affinity.node_affinity = was,
    }
}

/// Terms neither come nor go; each may ask for more than before.
fn narrow_affinity(now: Option<&NodeAffinity>, was: &NodeAffinity, path: &Path, errors: &mut ErrorList) {
    let terms = |affinity: Option<&NodeAffinity>| {
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        required.map(|selector| selector.node_selector_terms.clone()).unwrap_or_default()
    };
    let (now, was) = (terms(now), terms(Some(was)));
    let path = path.children(&["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]);
    if !was.is_empty() && was.len() != now.len() {
        let shown = serde_json::to_value(&now).unwrap_or_default();
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(Error::invalid(&path, shown, why));
        return;
    }
    for (index, (now, was)) in now.iter().zip(&was).enumerate() {
        let has_all = |now: &Option<Vec<_>>, was: &Option<Vec<NodeSelectorRequirement>>| {
            let (now, was) = (rules::slice(now), rules::slice(was));
            now.len() >= was.len() && now[..was.len()] == *was
        };
        // A term that asks for nothing matches nothing, and more would make it match.
        let is_empty = rules::slice(&was.match_expressions).is_empty() && rules::slice(&was.match_fields).is_empty();
        let grows = has_all(&now.match_expressions, &was.match_expressions)
            && has_all(&now.match_fields, &was.match_fields)
            && (!is_empty || now == was);
        if !grows {
            let shown = serde_json::to_value(now).unwrap_or_default();
            errors.push(Error::invalid(
                &path.index(index),
                shown,
                "only additions are allowed (no mutations or deletions)",
            ));
        }
    }
}

/// The fields that differ, with both values.
fn difference(old: &PodSpec, new: &PodSpec) -> String {
    let tree = |spec: &PodSpec| serde_json::to_value(spec).unwrap_or_default();
    let (old, new) = (tree(old), tree(new));
    let mut lines = Vec::new();
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (fields(&old), fields(&new));
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        if old.get(name) != new.get(name) {
            lines.extend(old.get(name).map(|value| format!("- {name}: {value}")));
            lines.extend(new.get(name).map(|value| format!("+ {name}: {value}")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
