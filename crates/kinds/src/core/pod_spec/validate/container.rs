//! One container of any sort.

use std::collections::HashSet;

use api::core::v1::{Container, ContainerPort};
use apimachinery::field::{Error, ErrorList, Path};

use super::{Cx, env, mounts, security};
use crate::core::pod_spec::resources;
use crate::rules;

const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

pub(super) fn validate(ctr: &Container, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    match ctr.name.as_str() {
        "" => errors.push(Error::required(&path.child("name"), "")),
        name => rules::label(name, &path.child("name"), errors),
    }
    rules::required(rules::text(&ctr.image), &path.child("image"), errors);
    policies(ctr, path, errors);
    ports(rules::slice(&ctr.ports), &path.child("ports"), errors);
    env::variables(rules::slice(&ctr.env), cx, &path.child("env"), errors);
    env::sources(rules::slice(&ctr.env_from), &path.child("envFrom"), errors);
    mounts::mounts(ctr, cx, &path.child("volumeMounts"), errors);
    mounts::devices(ctr, cx, &path.child("volumeDevices"), errors);
    if let Some(requirements) = &ctr.resources {
        resources::of_container(requirements, &cx.claims, &path.child("resources"), errors);
    }
    resize_policy(ctr, cx, &path.child("resizePolicy"), errors);
    restart_rules(ctr, path, errors);
    if let Some(context) = &ctr.security_context {
        security::container(context, cx.host_users, &path.child("securityContext"), errors);
    }
}

/// Only pods refuse this; templates once let it through.
pub(super) fn image_without_spaces(ctr: &Container, path: &Path, errors: &mut ErrorList) {
    let image = rules::text(&ctr.image);
    if image.trim() != image {
        errors.push(Error::invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}

fn policies(ctr: &Container, path: &Path, errors: &mut ErrorList) {
    let at = path.child("terminationMessagePolicy");
    match rules::text(&ctr.termination_message_policy) {
        "" => errors.push(Error::required(&at, "")),
        policy => rules::one_of(policy, &["File", "FallbackToLogsOnError"], &at, errors),
    }
    pull_policy(rules::text(&ctr.image_pull_policy), &path.child("imagePullPolicy"), errors);
}

pub(super) fn pull_policy(policy: &str, path: &Path, errors: &mut ErrorList) {
    match policy {
        "" => errors.push(Error::required(path, "")),
        policy => rules::one_of(policy, &["Always", "IfNotPresent", "Never"], path, errors),
    }
}

fn ports(ports: &[ContainerPort], path: &Path, errors: &mut ErrorList) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = rules::text(&port.name);
        if !name.is_empty() {
            let judged = rules::port_name(name);
            if judged.is_empty() && !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
            rules::invalid_each(name, judged, &path.child("name"), errors);
        }
        match port.container_port {
            0 => errors.push(Error::required(&path.child("containerPort"), "")),
            number => rules::port_number(number.into(), &path.child("containerPort"), errors),
        }
        if let Some(number) = port.host_port.filter(|port| *port != 0) {
            rules::port_number(number.into(), &path.child("hostPort"), errors);
        }
        match rules::text(&port.protocol) {
            "" => errors.push(Error::required(&path.child("protocol"), "")),
            protocol => rules::one_of(protocol, &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors),
        }
    }
}

fn resize_policy(ctr: &Container, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let mut resources = HashSet::new();
    for (index, policy) in rules::slice(&ctr.resize_policy).iter().enumerate() {
        if !resources.insert(policy.resource_name.as_str()) {
            errors.push(Error::duplicate(&path.index(index), policy.resource_name.clone()));
        }
        match policy.resource_name.as_str() {
            "" => errors.push(Error::required(path, "")),
            name => rules::one_of(name, &["cpu", "memory"], path, errors),
        }
        match policy.restart_policy.as_str() {
            "" => errors.push(Error::required(path, "")),
            value => rules::one_of(value, &["NotRequired", "RestartContainer"], path, errors),
        }
        if cx.restart_policy == "Never" && policy.restart_policy != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, policy.restart_policy.as_str(), why));
        }
    }
}

/// The container's own restart policy and the exceptions from it.
fn restart_rules(ctr: &Container, path: &Path, errors: &mut ErrorList) {
    const MOST_RULES: usize = 20;
    let exceptions = rules::slice(&ctr.restart_policy_rules);
    match &ctr.restart_policy {
        Some(policy) => rules::one_of(policy, &RESTART_POLICIES, &path.child("restartPolicy"), errors),
        None if !exceptions.is_empty() => {
            let why = "must specify restartPolicy when restart rules are used";
            errors.push(Error::required(&path.child("restartPolicy"), why));
        }
        None => {}
    }
    let path = path.child("restartPolicyRules");
    if exceptions.len() > MOST_RULES {
        errors.push(Error::too_many(&path, exceptions.len(), MOST_RULES));
    }
    for (index, rule) in exceptions.iter().enumerate() {
        let path = path.index(index);
        rules::one_of(&rule.action, &["Restart", "RestartAllContainers"], &path.child("action"), errors);
        let path = path.child("exitCodes");
        let Some(exit_codes) = &rule.exit_codes else {
            errors.push(Error::required(&path, "must be specified"));
            continue;
        };
        rules::one_of(&exit_codes.operator, &["In", "NotIn"], &path.child("operator"), errors);
        let values = rules::slice(&exit_codes.values);
        if values.is_empty() {
            errors.push(Error::required(&path.child("values"), "must be specified"));
        }
        if values.len() > 255 {
            errors.push(Error::too_many(&path.child("values"), values.len(), 255));
        }
    }
}
