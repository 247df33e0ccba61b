//! Containers together: their names, the ports they claim on the host, and what only some sorts may have.

use std::collections::HashSet;

use api::core::v1::{Container, EphemeralContainer, PodSpec};
use apimachinery::field::{Error, ErrorList, Path};

use super::{Cx, container, lifecycle, probe};
use crate::rules;

pub(super) fn validate(spec: &PodSpec, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    regular(spec, cx, &path.child("containers"), errors);
    init(spec, cx, &path.child("initContainers"), errors);
    ephemeral(spec, cx, &path.child("ephemeralContainers"), errors);
}

fn regular(spec: &PodSpec, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    if spec.containers.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let mut names = HashSet::new();
    for (index, ctr) in spec.containers.iter().enumerate() {
        let path = path.index(index);
        container::validate(ctr, cx, &path, errors);
        if !names.insert(ctr.name.as_str()) {
            errors.push(Error::duplicate(&path.child("name"), ctr.name.clone()));
        }
        long_running(ctr, cx, &path, errors);
    }
    host_ports(&spec.containers, path, errors);
}

/// What only containers that keep running may have.
fn long_running(ctr: &Container, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    if let Some(lifecycle) = &ctr.lifecycle {
        lifecycle::validate(lifecycle, cx, &path.child("lifecycle"), errors);
    }
    probe::liveness(ctr.liveness_probe.as_ref(), cx, &path.child("livenessProbe"), errors);
    probe::readiness(ctr.readiness_probe.as_ref(), cx, &path.child("readinessProbe"), errors);
    probe::liveness(ctr.startup_probe.as_ref(), cx, &path.child("startupProbe"), errors);
}

fn init(spec: &PodSpec, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    const ONLY_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";
    let mut names: HashSet<&str> = spec.containers.iter().map(|c| c.name.as_str()).collect();
    for (index, ctr) in rules::slice(&spec.init_containers).iter().enumerate() {
        let at = path.index(index);
        container::validate(ctr, cx, &at, errors);
        if !ctr.name.is_empty() && !names.insert(&ctr.name) {
            errors.push(Error::duplicate(&at.child("name"), ctr.name.clone()));
        }
        // One after the other, so only the ports of one container can be in conflict.
        host_ports(std::slice::from_ref(ctr), path, errors);
        if api::resources::is_restartable_init(ctr) {
            long_running(ctr, cx, &at, errors);
            continue;
        }
        let mut forbid = |is_set: bool, field: &str| {
            if is_set {
                errors.push(Error::forbidden(&at.child(field), ONLY_SIDECARS));
            }
        };
        forbid(ctr.lifecycle.is_some(), "lifecycle");
        forbid(ctr.liveness_probe.is_some(), "livenessProbe");
        forbid(ctr.readiness_probe.is_some(), "readinessProbe");
        forbid(ctr.startup_probe.is_some(), "startupProbe");
        if !rules::slice(&ctr.resize_policy).is_empty() {
            let value = serde_json::to_value(&ctr.resize_policy).unwrap_or_default();
            errors.push(Error::invalid(&at.child("resizePolicy"), value, "must not be set for init containers"));
        }
    }
}

fn ephemeral(spec: &PodSpec, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let lasting = spec.containers.iter().chain(rules::slice(&spec.init_containers)).map(|c| c.name.as_str());
    let lasting: HashSet<&str> = lasting.collect();
    let mut names = lasting.clone();
    for (index, ctr) in rules::slice(&spec.ephemeral_containers).iter().enumerate() {
        let path = path.index(index);
        let common = as_container(ctr);
        container::validate(&common, cx, &path, errors);
        container::image_without_spaces(&common, &path, errors);
        if !names.insert(&ctr.name) {
            errors.push(Error::duplicate(&path.child("name"), ctr.name.clone()));
        }
        let target = rules::text(&ctr.target_container_name);
        if !target.is_empty() && !lasting.contains(target) {
            errors.push(Error::not_found(&path.child("targetContainerName"), target));
        }
        only_for_debugging(&common, &path, errors);
    }
}

/// Ephemeral containers must not become a part of what the pod does.
fn only_for_debugging(ctr: &Container, path: &Path, errors: &mut ErrorList) {
    const WHY: &str = "cannot be set for an Ephemeral Container";
    let has_resources = ctr.resources.as_ref().is_some_and(|r| r != &Default::default());
    let fields = [
        (!rules::slice(&ctr.ports).is_empty(), "ports"),
        (has_resources, "resources"),
        (!rules::slice(&ctr.resize_policy).is_empty(), "resizePolicy"),
        (ctr.restart_policy.is_some(), "restartPolicy"),
        (!rules::slice(&ctr.restart_policy_rules).is_empty(), "restartPolicyRules"),
        (ctr.liveness_probe.is_some(), "livenessProbe"),
        (ctr.readiness_probe.is_some(), "readinessProbe"),
        (ctr.startup_probe.is_some(), "startupProbe"),
        (ctr.lifecycle.is_some(), "lifecycle"),
    ];
    for (is_set, field) in fields {
        if is_set {
            errors.push(Error::forbidden(&path.child(field), WHY));
        }
    }
    for (index, mount) in rules::slice(&ctr.volume_mounts).iter().enumerate() {
        let at = path.child("volumeMounts").index(index);
        for (value, field) in [(&mount.sub_path, "subPath"), (&mount.sub_path_expr, "subPathExpr")] {
            if !rules::text(value).is_empty() {
                errors.push(Error::forbidden(&at.child(field), WHY));
            }
        }
    }
}

/// The two types differ in one field only.
fn as_container(ctr: &EphemeralContainer) -> Container {
    let ctr = ctr.clone();
    Container {
        args: ctr.args,
        command: ctr.command,
        env: ctr.env,
        env_from: ctr.env_from,
        image: ctr.image,
        image_pull_policy: ctr.image_pull_policy,
        lifecycle: ctr.lifecycle,
        liveness_probe: ctr.liveness_probe,
        name: ctr.name,
        ports: ctr.ports,
        readiness_probe: ctr.readiness_probe,
        resize_policy: ctr.resize_policy,
        resources: ctr.resources,
        restart_policy: ctr.restart_policy,
        restart_policy_rules: ctr.restart_policy_rules,
        security_context: ctr.security_context,
        startup_probe: ctr.startup_probe,
        stdin: ctr.stdin,
        stdin_once: ctr.stdin_once,
        termination_message_path: ctr.termination_message_path,
        termination_message_policy: ctr.termination_message_policy,
        tty: ctr.tty,
        volume_devices: ctr.volume_devices,
        volume_mounts: ctr.volume_mounts,
        working_dir: ctr.working_dir,
    }
}

/// No two ports may claim the same port of the host.
fn host_ports(containers: &[Container], path: &Path, errors: &mut ErrorList) {
    let mut taken = HashSet::new();
    for (index, ctr) in containers.iter().enumerate() {
        for (port_index, port) in rules::slice(&ctr.ports).iter().enumerate() {
            let Some(host_port) = port.host_port.filter(|port| *port != 0) else { continue };
            let claim = format!("{}/{}/{host_port}", rules::text(&port.protocol), rules::text(&port.host_ip));
            if !taken.insert(claim.clone()) {
                let at = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(Error::duplicate(&at, claim));
            }
        }
    }
}

/// In the host's network a container's port is the host's.
pub(super) fn host_network_ports(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if spec.host_network != Some(true) {
        return;
    }
    let lists = [(spec.containers.as_slice(), "containers"), (rules::slice(&spec.init_containers), "initContainers")];
    for (containers, field) in lists {
        for (index, ctr) in containers.iter().enumerate() {
            for (port_index, port) in rules::slice(&ctr.ports).iter().enumerate() {
                let Some(host_port) = port.host_port.filter(|p| *p != 0 && *p != port.container_port) else { continue };
                let at = path.child(field).index(index).child("ports").index(port_index).child("hostPort");
                errors.push(Error::invalid(&at, host_port, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}
