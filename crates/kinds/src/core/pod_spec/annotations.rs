//! Annotations that mean something for pods.

use std::collections::BTreeMap;

use api::core::v1::PodSpec;
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const APP_ARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(crate) fn validate(
    annotations: Option<&BTreeMap<String, String>>,
    spec: &PodSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (key, value) in annotations.into_iter().flatten() {
        let at = path.key(key);
        if key == MIRROR && rules::text(&spec.node_name).is_empty() {
            let why = "must set spec.nodeName if mirror pod annotation is set";
            errors.push(Error::invalid(&at, value.as_str(), why));
        } else if key == DELETION_COST && value.parse::<i32>().is_err() {
            errors.push(Error::invalid(&at, value.as_str(), "must be a 32bit integer"));
        } else if let Some(container) = key.strip_prefix(APP_ARMOR_PREFIX) {
            app_armor(container, value, spec, &at, errors);
        }
    }
}

fn app_armor(container: &str, profile: &str, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut names = spec.containers.iter().chain(rules::slice(&spec.init_containers)).map(|c| c.name.as_str());
    let mut ephemeral = rules::slice(&spec.ephemeral_containers).iter().map(|c| c.name.as_str());
    if !names.any(|name| name == container) && !ephemeral.any(|name| name == container) {
        errors.push(Error::invalid(path, container, "container not found"));
    }
    let known = matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
    if !known {
        let why = format!("invalid AppArmor profile name: {}", apimachinery::field::quote(profile));
        errors.push(Error::invalid(path, profile, why));
    }
}
