//! Annotations that mean something for pods.

use std::collections::BTreeMap;

use api::core::v1::{PodSpec, SecurityContext};
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

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// What a profile is called in annotations: its type, and the file of a local one.
struct Profile<'a> {
    /// `seccomp` or `apparmor`, for errors.
    what: &'static str,
    kind: &'a str,
    file: Option<&'a str>,
}

impl Profile<'_> {
    /// Whether an annotation says the same; what differs is named below `path`.
    fn compare(&self, annotation: &str, path: &Path, errors: &mut ErrorList) {
        let what = self.what;
        let same_type = match self.kind {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => {
                annotation == "runtime/default" || (what == "seccomp" && annotation == "docker/default")
            }
            "Localhost" => annotation.starts_with("localhost/"),
            _ => return,
        };
        if !same_type {
            let why = format!("{what} type in annotation and field must match");
            errors.push(Error::forbidden(&path.child("type"), why));
        } else if self.kind == "Localhost" && annotation.strip_prefix("localhost/") != self.file {
            let why = format!("{what} profile in annotation and field must match");
            errors.push(Error::forbidden(&path.child("localhostProfile"), why));
        }
    }
}

/// Profiles that stand in an annotation and in a field must be the same.
pub(crate) fn match_fields(
    annotations: Option<&BTreeMap<String, String>>,
    spec: &PodSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(notes) = annotations.filter(|notes| !notes.is_empty()) else { return };
    let of_pod = spec.security_context.as_ref();
    let seccomp = |profile: &api::core::v1::SeccompProfile, note: &str, path: &Path, errors: &mut ErrorList| {
        let profile = Profile { what: "seccomp", kind: &profile.type_, file: profile.localhost_profile.as_deref() };
        profile.compare(note, &path.children(&["securityContext", "seccompProfile"]), errors);
    };
    if let (Some(profile), Some(note)) = (of_pod.and_then(|c| c.seccomp_profile.as_ref()), notes.get(SECCOMP_POD)) {
        seccomp(profile, note, path, errors);
    }
    let is_windows = spec.os.as_ref().is_some_and(|os| os.name == "windows");
    visit(spec, path, &mut |name, context, path| {
        let own = context.and_then(|c| c.seccomp_profile.as_ref());
        if let (Some(profile), Some(note)) = (own, notes.get(&format!("{SECCOMP_PREFIX}{name}"))) {
            seccomp(profile, note, path, errors);
        }
        let own = context.and_then(|c| c.app_armor_profile.as_ref());
        let profile = own.or(of_pod.and_then(|c| c.app_armor_profile.as_ref())).filter(|_| !is_windows);
        if let (Some(profile), Some(note)) = (profile, notes.get(&format!("{APP_ARMOR_PREFIX}{name}"))) {
            let file = profile.localhost_profile.as_deref();
            let profile = Profile { what: "apparmor", kind: &profile.type_, file };
            profile.compare(note, &path.children(&["securityContext", "appArmorProfile"]), errors);
        }
    });
}

/// Shows every container with its security context and path.
fn visit(spec: &PodSpec, path: &Path, look: &mut dyn FnMut(&str, Option<&SecurityContext>, &Path)) {
    let lists = [(rules::slice(&spec.init_containers), "initContainers"), (&spec.containers, "containers")];
    for (containers, field) in lists {
        for (index, ctr) in containers.iter().enumerate() {
            look(&ctr.name, ctr.security_context.as_ref(), &path.child(field).index(index));
        }
    }
    for (index, ctr) in rules::slice(&spec.ephemeral_containers).iter().enumerate() {
        look(&ctr.name, ctr.security_context.as_ref(), &path.child("ephemeralContainers").index(index));
    }
}

/// What may not come, change or go with an update.
pub(crate) fn update(
    new: Option<&BTreeMap<String, String>>,
    old: Option<&BTreeMap<String, String>>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let get = |notes: Option<&BTreeMap<String, String>>, key: &str| notes.and_then(|notes| notes.get(key)).cloned();
    let what = |key: &str| match key {
        MIRROR => Some("mirror pod annotation"),
        key if key.starts_with(APP_ARMOR_PREFIX) => Some("AppArmor annotations"),
        _ => None,
    };
    for (key, value) in old.into_iter().flatten() {
        if let Some(what) = what(key).filter(|_| get(new, key).as_ref() != Some(value)) {
            errors.push(Error::forbidden(&path.key(key), format!("may not remove or update {what}")));
        }
    }
    for key in new.into_iter().flatten().map(|(key, _)| key) {
        if let Some(what) = what(key).filter(|_| get(old, key).is_none()) {
            errors.push(Error::forbidden(&path.key(key), format!("may not add {what}")));
        }
    }
}
