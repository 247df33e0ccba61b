//! The status of a pod as the API shows it, from what the runtime holds. Pure; the caller says what time it is.

mod conditions;
mod containers;
mod phase;

use api::{
    core::v1::{HostIP, Pod, PodIP, PodStatus},
    jiff::Timestamp,
    meta::Time,
    resources::qos_class,
};

use super::observed::Observed;
pub(crate) use conditions::OWN_CONDITIONS;
pub(crate) use containers::WaitReasons;

/// What probes say of a container that runs; none where they have not said anything yet, as after the kubelet itself
/// was started anew.
pub(crate) trait Health {
    /// Whether it passed its startup probe, or has none.
    fn started(&self, container: &api::core::v1::Container, id: &str) -> Option<bool>;
    /// Whether it passed its readiness probe last time, or has none.
    fn ready(&self, container: &api::core::v1::Container, id: &str) -> Option<bool>;
}

/// Everything the status follows from.
pub(crate) struct Facts<'a> {
    /// With the status last written, from which what must not change is taken over.
    pub(crate) pod: &'a Pod,
    pub(crate) observed: &'a Observed,
    pub(crate) waits: &'a WaitReasons,
    pub(crate) health: &'a dyn Health,
    pub(crate) runtime_name: &'a str,
    pub(crate) host_ips: &'a [String],
    /// The kubelet has stopped the pod for good: nothing is restarted, whatever the policy.
    pub(crate) over: bool,
    /// The phase, reason and message the kubelet decided on: a refusal, a deadline, an eviction.
    pub(crate) verdict: Option<&'a Verdict>,
    pub(crate) now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// What its condition DisruptionTarget says, if the pod is to have it.
    pub(crate) disruption: Option<String>,
}

/// Times of the API have whole seconds.
pub(crate) fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

pub(crate) fn pod_status(facts: &Facts<'_>) -> PodStatus {
    let pod = facts.pod;
    let empty = PodStatus::default();
    let old = pod.status.as_ref().unwrap_or(&empty);
    let spec = pod.spec.clone().unwrap_or_default();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let init_statuses = containers::init_statuses(facts, init, old.init_container_statuses.as_deref());
    let regular = containers::regular_statuses(facts, &spec.containers, old.container_statuses.as_deref());
    let mut status = PodStatus {
        start_time: old.start_time.clone().or_else(|| Some(seconds(facts.now))),
        observed_generation: pod.metadata.generation.or(old.observed_generation),
        qos_class: Some(qos_class(pod).as_str().to_owned()),
        nominated_node_name: old.nominated_node_name.clone(),
        ..PodStatus::default()
    };
    decide_phase(facts, old, &spec, &init_statuses, &regular, &mut status);
    addresses(facts, old, spec.host_network == Some(true), &mut status);
    let ephemeral: Vec<_> = super::ephemeral::of(&spec).collect();
    let ephemeral = containers::ephemeral_statuses(facts, &ephemeral, old.ephemeral_container_statuses.as_deref());
    status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
    status.init_container_statuses = (!init_statuses.is_empty()).then_some(init_statuses);
    status.container_statuses = (!regular.is_empty()).then_some(regular);
    status.conditions = Some(conditions::all(facts, &spec, old, &status));
    status
}

/// The phase never leaves Succeeded or Failed, and the reason stays as long as the phase does.
fn decide_phase(
    facts: &Facts<'_>,
    old: &PodStatus,
    spec: &api::core::v1::PodSpec,
    init: &[api::core::v1::ContainerStatus],
    regular: &[api::core::v1::ContainerStatus],
    status: &mut PodStatus,
) {
    let before = old.phase.as_deref().filter(|p| matches!(*p, "Succeeded" | "Failed"));
    let computed = phase::phase(spec, init, regular, facts.over);
    // A pod has not failed while something of it runs.
    let verdict = facts.verdict.filter(|_| facts.over || facts.observed.nothing_alive());
    let phase = match (before, verdict) {
        (Some(phase), _) => phase,
        (None, Some(_)) => "Failed",
        (None, None) => computed,
    };
    if let Some(verdict) = verdict {
        status.reason = Some(verdict.reason.clone());
        status.message = Some(verdict.message.clone());
    } else if old.phase.as_deref() == Some(phase) {
        status.reason = old.reason.clone();
        status.message = old.message.clone();
    }
    status.phase = Some(phase.to_owned());
}

/// A pod keeps the addresses it had after its sandbox is gone: clients read them from finished pods.
fn addresses(facts: &Facts<'_>, old: &PodStatus, host_network: bool, status: &mut PodStatus) {
    status.host_ip = facts.host_ips.first().cloned();
    status.host_ips =
        (!facts.host_ips.is_empty()).then(|| facts.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let ips = match facts.observed.ready_sandbox() {
        Some(_) if host_network => facts.host_ips.to_vec(),
        Some(sandbox) => sandbox.ips.clone(),
        None => Vec::new(),
    };
    if ips.is_empty() {
        status.pod_ip = old.pod_ip.clone();
        status.pod_ips = old.pod_ips.clone();
    } else {
        status.pod_ip = ips.first().cloned();
        status.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect());
    }
}

/// The status of a pod this node does not take: nothing of it was ever made, so there is nothing more to tell.
pub(crate) fn rejected_status(pod: &Pod, verdict: &Verdict) -> PodStatus {
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason: Some(verdict.reason.clone()),
        message: Some(verdict.message.clone()),
        qos_class: Some(qos_class(pod).as_str().to_owned()),
        observed_generation: pod.metadata.generation,
        conditions: pod.status.as_ref().and_then(|s| s.conditions.clone()),
        ..PodStatus::default()
    }
}

#[cfg(test)]
mod tests;
