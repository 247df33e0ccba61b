//! What a pod's specification must satisfy. One file per noun; this one has what concerns the pod as a whole.

mod affinity;
mod container;
mod containers;
mod dns;
mod env;
mod lifecycle;
mod mounts;
mod os;
mod probe;
mod projected;
mod resource_claims;
mod security;
mod spread;
mod tolerations;
mod volume;

use std::collections::HashMap;

use api::core::v1::{PodSpec, PodTemplateSpec, Volume};
use apimachinery::field::{Error, ErrorList, Path};

pub(crate) use tolerations::{taint_effect, tolerations};

use super::resources;
use crate::rules;

/// The volumes of a pod that are right, by name.
type Volumes<'a> = HashMap<&'a str, &'a Volume>;

/// What containers are judged by, besides themselves.
struct Cx<'a> {
    volumes: Volumes<'a>,
    claims: Vec<&'a str>,
    grace_period_seconds: i64,
    os: &'a str,
    restart_policy: &'a str,
    host_users: bool,
}

/// Judges a template: labels, annotations and specification.
pub(crate) fn template(template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    let metadata = template.metadata.as_ref();
    let notes = metadata.and_then(|m| m.annotations.as_ref());
    // Upstream leaves `metadata` out of these paths.
    rules::labels(metadata.and_then(|m| m.labels.as_ref()), &path.child("labels"), errors);
    rules::annotations(notes, &path.child("annotations"), errors);
    let spec = template.spec.clone().unwrap_or_default();
    super::annotations::validate(notes, &spec, &path.child("annotations"), errors);
    pod_spec(&spec, "", &path.child("spec"), errors);
    super::annotations::match_fields(notes, &spec, &path.child("spec"), errors);
    if !rules::slice(&spec.ephemeral_containers).is_empty() {
        let at = path.children(&["spec", "ephemeralContainers"]);
        errors.push(Error::forbidden(&at, "ephemeral containers not allowed in pod template"));
    }
}

/// Judges a specification. The pod's name is empty for templates.
pub(crate) fn pod_spec(spec: &PodSpec, pod_name: &str, path: &Path, errors: &mut ErrorList) {
    let volumes = volume::volumes(rules::slice(&spec.volumes), pod_name, &path.child("volumes"), errors);
    let claims = resource_claims::validate(rules::slice(&spec.resource_claims), &path.child("resourceClaims"), errors);
    let cx = Cx {
        volumes,
        claims,
        grace_period_seconds: spec.termination_grace_period_seconds.unwrap_or_default(),
        os: spec.os.as_ref().map_or("", |os| os.name.as_str()),
        restart_policy: rules::text(&spec.restart_policy),
        host_users: spec.host_users.unwrap_or(true),
    };
    containers::validate(spec, &cx, path, errors);
    resources::pod_level(spec, &path.child("resources"), errors);
    containers::host_network_ports(spec, path, errors);
    choices(spec, path, errors);
    rules::labels(spec.node_selector.as_ref(), &path.child("nodeSelector"), errors);
    security::pod(spec, path, errors);
    if let Some(affinity) = &spec.affinity {
        affinity::validate(affinity, &path.child("affinity"), errors);
    }
    dns::validate(spec, &path.child("dnsConfig"), errors);
    gates(spec, path, errors);
    spread::validate(rules::slice(&spec.topology_spread_constraints), &path.child("topologySpreadConstraints"), errors);
    security::host_processes(spec, path, errors);
    security::user_namespace(spec, path, errors);
    names(spec, path, errors);
    tolerations(rules::slice(&spec.tolerations), &path.child("tolerations"), errors);
    host_aliases(spec, &path.child("hostAliases"), errors);
    if let Some(overhead) = &spec.overhead {
        resources::list(overhead, &path.children(&["overhead", "limits"]), errors);
    }
    os::validate(spec, path, errors);
}

fn choices(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut choice = |value: &Option<String>, field: &str, supported: &[&str]| match rules::text(value) {
        "" => errors.push(Error::required(&path.child(field), "")),
        value => rules::one_of(value, supported, &path.child(field), errors),
    };
    choice(&spec.restart_policy, "restartPolicy", &["Always", "OnFailure", "Never"]);
    choice(&spec.dns_policy, "dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    if spec.preemption_policy.is_some() {
        choice(&spec.preemption_policy, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    }
}

/// Readiness gates and scheduling gates.
fn gates(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, gate) in rules::slice(&spec.readiness_gates).iter().enumerate() {
        let at = path.child("readinessGates").index(index).child("conditionType");
        rules::qualified_name(&gate.condition_type, &at, errors);
    }
    let gates = rules::slice(&spec.scheduling_gates);
    for (index, gate) in gates.iter().enumerate() {
        let at = path.child("schedulingGates").index(index);
        rules::qualified_name(&gate.name, &at, errors);
        if gates[..index].iter().any(|earlier| earlier.name == gate.name) {
            errors.push(Error::duplicate(&at, gate.name.clone()));
        }
    }
}

/// Names of other objects, and of the pod in the network.
fn names(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let subdomains = [
        (&spec.service_account_name, "serviceAccountName"),
        (&spec.node_name, "nodeName"),
        (&spec.priority_class_name, "priorityClassName"),
        (&spec.runtime_class_name, "runtimeClassName"),
        (&spec.hostname_override, "hostnameOverride"),
    ];
    for (name, field) in subdomains {
        let must = matches!(field, "runtimeClassName" | "hostnameOverride") && name.is_some();
        if must || !rules::text(name).is_empty() {
            rules::subdomain(rules::text(name), &path.child(field), errors);
        }
    }
    hostname_override(spec, path, errors);
    for (name, field) in [(&spec.hostname, "hostname"), (&spec.subdomain, "subdomain")] {
        if !rules::text(name).is_empty() {
            rules::label(rules::text(name), &path.child(field), errors);
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        rules::in_range(seconds, 1, i32::MAX.into(), &path.child("activeDeadlineSeconds"), errors);
    }
}

fn hostname_override(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const MAX_BYTES: usize = 64;
    let Some(name) = &spec.hostname_override else { return };
    let at = path.child("hostnameOverride");
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.push(Error::forbidden(&at, "may not be specified when setHostnameAsFQDN is true"));
    }
    if spec.host_network == Some(true) {
        errors.push(Error::forbidden(&at, "may not be specified when hostNetwork is true"));
    }
    if name.len() > MAX_BYTES {
        errors.push(Error::too_long(&at, MAX_BYTES));
    }
}

fn host_aliases(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, alias) in rules::slice(&spec.host_aliases).iter().enumerate() {
        rules::ip(&alias.ip, &path.index(index).child("ip"), errors);
        for (at, hostname) in rules::slice(&alias.hostnames).iter().enumerate() {
            rules::subdomain(hostname, &path.index(index).child("hostnames").index(at), errors);
        }
    }
}
