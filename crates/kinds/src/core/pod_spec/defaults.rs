//! Defaults of a pod's specification. Those of containers and volumes have files of their own.

mod container;
mod volume;

use api::core::v1::{Container, ContainerPort, PodSpec, PodTemplateSpec};

use super::alpha;
use crate::quantities;

pub(crate) const SCHEDULER_NAME: &str = "default-scheduler";
const GRACE_PERIOD_SECONDS: i64 = 30;

/// Defaults of a template, in a pod template or a workload.
pub(crate) fn template(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    pod_spec(template.spec.get_or_insert_default());
}

/// Defaults of a pod itself, beyond those its specification has in a template too.
pub(crate) fn pod(spec: &mut PodSpec) {
    pod_spec(spec);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        limits_are_requests(container);
    }
    pod_level_requests(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network == Some(true) {
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            container.ports.iter_mut().flatten().for_each(host_port_is_container_port);
        }
    }
}

/// What is limited and not requested is requested as it is limited.
fn limits_are_requests(container: &mut Container) {
    let Some(resources) = &mut container.resources else { return };
    let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// Requests of the pod as a whole are at least known: those of its containers, or its limits.
fn pod_level_requests(spec: &mut PodSpec) {
    let Some(resources) = spec.resources.as_ref() else { return };
    let mut requests = resources.requests.clone().unwrap_or_default();
    let of_containers = PodSpec { resources: None, overhead: None, ..spec.clone() };
    for (name, amount) in api::resources::pod_requests(&of_containers) {
        if quantities::is_pod_level(&name) {
            requests.entry(name).or_insert_with(|| api::Quantity(amount.to_string()));
        }
    }
    for (name, limit) in resources.limits.iter().flatten() {
        if quantities::is_pod_level(name) {
            requests.entry(name.clone()).or_insert_with(|| limit.clone());
        }
    }
    if !requests.is_empty()
        && let Some(resources) = spec.resources.as_mut()
    {
        resources.requests = Some(requests);
    }
}

fn host_port_is_container_port(port: &mut ContainerPort) {
    if port.host_port.unwrap_or_default() == 0 {
        port.host_port = Some(port.container_port);
    }
}

fn pod_spec(spec: &mut PodSpec) {
    alpha::drop_fields(spec);
    set_text(&mut spec.dns_policy, "ClusterFirst");
    set_text(&mut spec.restart_policy, "Always");
    set_text(&mut spec.scheduler_name, SCHEDULER_NAME);
    spec.security_context.get_or_insert_default();
    let grace = spec.termination_grace_period_seconds.get_or_insert(GRACE_PERIOD_SECONDS);
    if *grace < 0 {
        // Once allowed, and taken to mean the shortest.
        *grace = 1;
    }
    service_account(spec);
    for flag in [&mut spec.host_network, &mut spec.host_pid, &mut spec.host_ipc] {
        *flag = flag.filter(|set| *set);
    }
    quantities::canonicalize(&mut spec.overhead);
    if let Some(resources) = &mut spec.resources {
        quantities::canonicalize_requirements(resources);
    }
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(container::container);
    spec.ephemeral_containers.iter_mut().flatten().for_each(container::ephemeral_container);
    spec.volumes.iter_mut().flatten().for_each(volume::volume);
}

/// The old field repeats the new one, which wins.
fn service_account(spec: &mut PodSpec) {
    if is_empty(&spec.service_account_name) {
        spec.service_account_name = spec.service_account.take().filter(|name| !name.is_empty());
    }
    spec.service_account = spec.service_account_name.clone();
}

fn is_empty(text: &Option<String>) -> bool {
    text.as_deref().unwrap_or_default().is_empty()
}

/// Fills in a text that is absent or empty.
pub(crate) fn set_text(text: &mut Option<String>, default: &str) {
    if is_empty(text) {
        *text = Some(default.to_owned());
    }
}

/// Fills in a number that is absent or 0.
fn set_number<N: Default + PartialEq>(number: &mut Option<N>, default: N) {
    if number.as_ref().is_none_or(|n| *n == N::default()) {
        *number = Some(default);
    }
}
