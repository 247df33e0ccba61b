//! What a pod's status may say, and what it may not take back.

use std::collections::HashSet;

use api::core::v1::{ContainerStatus, Pod, PodStatus};
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

/// Conditions that Kubernetes itself sets; names of others are judged.
const SYSTEM_CONDITIONS: [&str; 6] =
    ["PodScheduled", "Ready", "Initialized", "ContainersReady", "DisruptionTarget", "PodReadyToStartContainers"];

pub(super) fn update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let none = PodStatus::default();
    let (status, before) = (new.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
    for (index, condition) in rules::slice(&status.conditions).iter().enumerate() {
        if !SYSTEM_CONDITIONS.contains(&condition.type_.as_str()) {
            let at = path.child("conditions").index(index).child("Type");
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
    transitions(new, status, before, &path, &mut errors);
    pod_ips(status, &path.child("podIPs"), &mut errors);
    errors
}

/// A container that is not restarted stays terminated.
fn transitions(pod: &Pod, status: &PodStatus, before: &PodStatus, path: &Path, errors: &mut ErrorList) {
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    if policy == "Always" {
        return;
    }
    let old = rules::slice(&before.container_statuses);
    for (index, now) in rules::slice(&status.container_statuses).iter().enumerate() {
        let was = old.iter().find(|was| was.name == now.name).and_then(exit_code);
        let Some(exit_code_before) = was.filter(|_| exit_code(now).is_none()) else { continue };
        let own = pod.spec.as_ref().and_then(|spec| spec.containers.iter().find(|ctr| ctr.name == now.name));
        if own.is_some_and(|ctr| ctr.restart_policy.is_some()) {
            continue;
        }
        if policy == "Never" || exit_code_before == 0 {
            let at = path.child("containerStatuses").index(index).child("state");
            errors.push(Error::forbidden(&at, "may not be transitioned to non-terminated state"));
        }
    }
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn pod_ips(status: &PodStatus, path: &Path, errors: &mut ErrorList) {
    let ips = rules::slice(&status.pod_ips);
    let (mut seen, mut families) = (HashSet::new(), HashSet::new());
    let mut twice = ips.len() > 2;
    for (index, ip) in ips.iter().enumerate() {
        rules::ip(&ip.ip, &path.index(index), errors);
        if !seen.insert(&ip.ip) {
            errors.push(Error::duplicate(&path.index(index), ip.ip.clone()));
        } else if let Some(address) = rules::parse_ip(&ip.ip) {
            twice |= !families.insert(address.is_ipv4());
        }
    }
    if twice {
        let value = serde_json::to_value(ips).unwrap_or_default();
        errors.push(Error::invalid(path, value, "may specify no more than one IP for each IP family"));
    }
}
