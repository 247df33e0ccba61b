//! What a pod's status may say, and what it may not take back.

use std::collections::HashSet;

use api::core::v1::{ContainerStatus, Pod, PodSpec, PodStatus};
use apimachinery::field::{Error, ErrorList, Path};

use serde_json::{Value, json};

use crate::core::pod_spec;
use crate::rules;

/// Conditions that Kubernetes itself sets; names of others are judged.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

pub(super) fn update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = ErrorList::new();
    let metadata = Path::new("metadata");
    let path = Path::new("status");
    let none = PodStatus::default();
    let (status, before) = (new.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
    let (notes, notes_before) = (new.metadata.annotations.as_ref(), old.metadata.annotations.as_ref());
    pod_spec::annotations::update(notes, notes_before, &metadata.child("annotations"), &mut errors);
    for (index, condition) in rules::slice(&status.conditions).iter().enumerate() {
        if !SYSTEM_CONDITIONS.contains(&condition.type_.as_str()) {
            // Upstream looks for conditions in the metadata.
            let at = metadata.child("conditions").index(index).child("Type");
            rules::qualified_name(&condition.type_, &at, &mut errors);
        }
    }
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    if node(new) != node(old) {
        errors.push(Error::forbidden(&path.child("nodeName"), "may not be changed directly"));
    }
    let nominated = rules::text(&status.nominated_node_name);
    if !nominated.is_empty() && nominated != rules::text(&before.nominated_node_name) {
        rules::subdomain(nominated, &path.child("nominatedNodeName"), &mut errors);
    }
    let (class, class_before) = (rules::text(&status.qos_class), rules::text(&before.qos_class));
    rules::immutable(&class, &class_before, &path.child("qosClass"), &mut errors);
    transitions(new, status, before, &path, &mut errors);
    claims(new, status, &path.child("resourceClaimStatuses"), &mut errors);
    let pod_ips: Vec<&str> = rules::slice(&status.pod_ips).iter().map(|ip| ip.ip.as_str()).collect();
    addresses(&pod_ips, serde_json::to_value(&status.pod_ips), &path.child("podIPs"), &mut errors);
    let host_ips: Vec<&str> = rules::slice(&status.host_ips).iter().map(|ip| ip.ip.as_str()).collect();
    if let Some(first) = host_ips.first().filter(|first| **first != rules::text(&status.host_ip)) {
        let at = path.child("hostIPs").index(0).child("ip");
        errors.push(Error::invalid(&at, *first, "must be equal to `hostIP`"));
    }
    addresses(&host_ips, serde_json::to_value(&status.host_ips), &path.child("hostIPs"), &mut errors);
    errors
}

/// A container that is not restarted stays terminated.
fn transitions(pod: &Pod, status: &PodStatus, before: &PodStatus, path: &Path, errors: &mut ErrorList) {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let lists = [
        (&status.container_statuses, &before.container_statuses, "containerStatuses", policy),
        (&status.init_container_statuses, &before.init_container_statuses, "initContainerStatuses", policy),
        // Ephemeral containers are never restarted.
        (
            &status.ephemeral_container_statuses,
            &before.ephemeral_container_statuses,
            "ephemeralContainerStatuses",
            "Never",
        ),
    ];
    let containers = || spec.containers.iter().chain(rules::slice(&spec.init_containers));
    for (now, before, field, policy) in lists {
        if policy == "Always" {
            continue;
        }
        for (index, was) in rules::slice(before).iter().enumerate() {
            let Some(exit_code_before) = exit_code(was) else { continue };
            if exit_code_before != 0 && policy == "OnFailure" {
                continue;
            }
            // A container's own policy goes before the pod's.
            if containers().any(|ctr| ctr.name == was.name && ctr.restart_policy.is_some()) {
                continue;
            }
            let leaves = |now: &&ContainerStatus| now.name == was.name && exit_code(now).is_none();
            for _ in rules::slice(now).iter().filter(leaves) {
                let at = path.child(field).index(index).child("state");
                errors.push(Error::forbidden(&at, "may not be transitioned to non-terminated state"));
            }
        }
    }
}

/// Claims made for the pod, each under a name that the pod gives it.
fn claims(pod: &Pod, status: &PodStatus, path: &Path, errors: &mut ErrorList) {
    let claims = pod.spec.as_ref().map(|spec| rules::slice(&spec.resource_claims)).unwrap_or_default();
    let mut names = HashSet::new();
    for (index, one) in rules::slice(&status.resource_claim_statuses).iter().enumerate() {
        let at = path.index(index).child("name");
        if !claims.iter().any(|claim| claim.name == one.name) {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(Error::invalid(&at, one.name.as_str(), why));
        }
        if !names.insert(&one.name) {
            errors.push(Error::duplicate(&at, one.name.clone()));
        }
        if let Some(name) = &one.resource_claim_name {
            rules::subdomain(name, &at, errors);
        }
    }
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// At most one address for each family. `shown` is the list as errors show it.
fn addresses(ips: &[&str], shown: serde_json::Result<Value>, path: &Path, errors: &mut ErrorList) {
    let (mut seen, mut families) = (HashSet::new(), HashSet::new());
    let mut twice = ips.len() > 2;
    for (index, ip) in ips.iter().enumerate() {
        rules::ip(ip, &path.index(index), errors);
        if let Some(address) = rules::parse_ip(ip) {
            twice |= !families.insert(address.is_ipv4());
        }
        if !seen.insert(ip) {
            errors.push(Error::duplicate(&path.index(index), json!({ "ip": ip })));
        }
    }
    if twice {
        let why = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(path, shown.unwrap_or_default(), why));
    }
}
