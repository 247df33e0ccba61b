//! Conditions the kubelet owns. Those of others are kept as they are.

use api::{
    core::v1::{ContainerStatus, PodCondition, PodSpec, PodStatus},
    resources::is_restartable_init,
};

use super::{Facts, seconds};

const READY_TO_START: &str = "PodReadyToStartContainers";
const INITIALIZED: &str = "Initialized";
const READY: &str = "Ready";
const CONTAINERS_READY: &str = "ContainersReady";
const SCHEDULED: &str = "PodScheduled";
/// Others set it too, so it is nobody's own.
const DISRUPTION_TARGET: &str = "DisruptionTarget";
const BY_KUBELET: &str = "TerminationByKubelet";

/// Written by the kubelet (the last one only where the scheduler has not); all others belong to somebody else.
pub(crate) const OWN_CONDITIONS: [&str; 5] = [READY_TO_START, INITIALIZED, READY, CONTAINERS_READY, SCHEDULED];

/// Status, reason and message of a condition.
type Finding = (bool, Option<&'static str>, Option<String>);

pub(crate) fn all(facts: &Facts<'_>, spec: &PodSpec, old: &PodStatus, status: &PodStatus) -> Vec<PodCondition> {
    let before = old.conditions.as_deref().unwrap_or_default();
    let mut conditions: Vec<PodCondition> =
        before.iter().filter(|c| !OWN_CONDITIONS.contains(&c.type_.as_str())).cloned().collect();
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let regular = status.container_statuses.as_deref().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or_default();
    let containers_ready = containers_ready(spec, init, regular, phase);
    let ready = pod_ready(spec, before, containers_ready.clone());
    let has_sandbox = facts
        .observed
        .ready_sandbox()
        .is_some_and(|s| s.host_network || spec.host_network == Some(true) || !s.ips.is_empty());
    for (kind, finding) in [
        (READY_TO_START, (has_sandbox, None, None)),
        (INITIALIZED, initialized(spec, init, regular, phase)),
        (READY, ready),
        (CONTAINERS_READY, containers_ready),
    ] {
        conditions.push(condition(facts, before, kind, finding));
    }
    // Set by the scheduler; a pod that was bound by other means has it too.
    conditions.push(condition(facts, before, SCHEDULED, (true, None, None)));
    if let Some(message) = facts.verdict.and_then(|v| v.disruption.clone()).filter(|_| facts.over) {
        conditions.retain(|c| c.type_ != DISRUPTION_TARGET);
        conditions.push(condition(facts, before, DISRUPTION_TARGET, (true, Some(BY_KUBELET), Some(message))));
    }
    conditions
}

fn condition(facts: &Facts<'_>, before: &[PodCondition], kind: &str, finding: Finding) -> PodCondition {
    let (holds, reason, message) = finding;
    let status = if holds { "True" } else { "False" };
    let old = before.iter().find(|c| c.type_ == kind && c.status == status);
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        message,
        last_transition_time: old.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(seconds(facts.now))),
        observed_generation: facts.pod.metadata.generation,
        last_probe_time: None,
    }
}

fn listed(what: &str, names: &[String]) -> String {
    format!("containers with {what} status: [{}]", names.join(" "))
}

fn initialized(spec: &PodSpec, init: &[ContainerStatus], regular: &[ContainerStatus], phase: &str) -> Finding {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in spec.init_containers.iter().flatten() {
        match init.iter().find(|s| s.name == container.name) {
            None => unknown.push(container.name.clone()),
            Some(s) if is_restartable_init(container) && s.started == Some(true) => {}
            Some(s) if !is_restartable_init(container) && s.ready => {}
            Some(_) => incomplete.push(container.name.clone()),
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return (true, Some("PodCompleted"), None);
    }
    // Once regular containers ran, sidecars that start again do not take it back.
    let ran = |s: &ContainerStatus| s.state.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some());
    if regular.iter().any(ran) {
        return (true, None, None);
    }
    let mut messages = Vec::new();
    if !unknown.is_empty() {
        messages.push(listed("unknown", &unknown));
    }
    if !incomplete.is_empty() {
        messages.push(listed("incomplete", &incomplete));
    }
    if messages.is_empty() {
        (true, None, None)
    } else {
        (false, Some("ContainersNotInitialized"), Some(messages.join(", ")))
    }
}

fn containers_ready(spec: &PodSpec, init: &[ContainerStatus], regular: &[ContainerStatus], phase: &str) -> Finding {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_restartable_init(c));
    let all = sidecars.map(|c| (c, init)).chain(spec.containers.iter().map(|c| (c, regular)));
    for (container, statuses) in all {
        match statuses.iter().find(|s| s.name == container.name) {
            None => unknown.push(container.name.clone()),
            Some(s) if s.ready => {}
            Some(_) => unready.push(container.name.clone()),
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return (false, Some("PodCompleted"), None);
    }
    if phase == "Failed" && unknown.is_empty() {
        return (false, Some("PodFailed"), None);
    }
    let mut messages = Vec::new();
    if !unknown.is_empty() {
        messages.push(listed("unknown", &unknown));
    }
    if !unready.is_empty() {
        messages.push(listed("unready", &unready));
    }
    if messages.is_empty() {
        (true, None, None)
    } else {
        (false, Some("ContainersNotReady"), Some(messages.join(", ")))
    }
}

fn pod_ready(spec: &PodSpec, before: &[PodCondition], containers: Finding) -> Finding {
    if !containers.0 {
        return containers;
    }
    let mut messages = Vec::new();
    for gate in spec.readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match before.iter().find(|c| c.type_ == *kind) {
            None => {
                messages.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist."));
            }
            Some(c) if c.status != "True" => {
                let status = &c.status;
                messages.push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {status}"));
            }
            Some(_) => {}
        }
    }
    if messages.is_empty() { containers } else { (false, Some("ReadinessGatesNotReady"), Some(messages.join(", "))) }
}
