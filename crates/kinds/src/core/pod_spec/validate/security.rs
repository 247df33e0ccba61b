//! Security contexts of pods and containers.

use api::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl,
    WindowsSecurityContextOptions,
};
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn id(value: Option<i64>, path: &Path, errors: &mut ErrorList) {
    if let Some(value) = value {
        rules::in_range(value, 0, i32::MAX.into(), path, errors);
    }
}

pub(super) fn container(context: &SecurityContext, host_users: bool, path: &Path, errors: &mut ErrorList) {
    id(context.run_as_user, &path.child("runAsUser"), errors);
    id(context.run_as_group, &path.child("runAsGroup"), errors);
    if let Some(proc_mount) = &context.proc_mount {
        let at = path.child("procMount");
        rules::one_of(proc_mount, &["Default", "Unmasked"], &at, errors);
        if host_users && proc_mount == "Unmasked" {
            let why = "`hostUsers` must be false to use `Unmasked`";
            errors.push(Error::invalid(&at, proc_mount.as_str(), why));
        }
    }
    if let Some(profile) = &context.seccomp_profile {
        seccomp(profile, &path.child("seccompProfile"), errors);
    }
    if context.allow_privilege_escalation == Some(false) {
        let mut refuse = |why: &str| {
            let value = serde_json::to_value(context).unwrap_or_default();
            errors.push(Error::invalid(path, value, why));
        };
        if context.privileged == Some(true) {
            refuse("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        let added = context.capabilities.iter().flat_map(|c| rules::slice(&c.add));
        for _ in added.filter(|capability| *capability == "CAP_SYS_ADMIN") {
            refuse("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    if let Some(options) = &context.windows_options {
        windows(options, &path.child("windowsOptions"), errors);
    }
    if let Some(profile) = &context.app_armor_profile {
        app_armor(profile, &path.child("appArmorProfile"), errors);
    }
}

pub(super) fn pod(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let path = path.child("securityContext");
    if spec.host_pid == Some(true) && spec.share_process_namespace == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    let Some(context) = &spec.security_context else { return };
    id(context.fs_group, &path.child("fsGroup"), errors);
    id(context.run_as_user, &path.child("runAsUser"), errors);
    id(context.run_as_group, &path.child("runAsGroup"), errors);
    for (index, group) in rules::slice(&context.supplemental_groups).iter().enumerate() {
        id(Some(*group), &path.child("supplementalGroups").index(index), errors);
    }
    sysctls(rules::slice(&context.sysctls), spec, &path.child("sysctls"), errors);
    policies(context, &path, errors);
    if let Some(profile) = &context.seccomp_profile {
        seccomp(profile, &path.child("seccompProfile"), errors);
    }
    if let Some(options) = &context.windows_options {
        windows(options, &path.child("windowsOptions"), errors);
    }
    if let Some(profile) = &context.app_armor_profile {
        app_armor(profile, &path.child("appArmorProfile"), errors);
    }
}

fn policies(context: &PodSecurityContext, path: &Path, errors: &mut ErrorList) {
    let policies = [
        (&context.fs_group_change_policy, "fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        (&context.supplemental_groups_policy, "supplementalGroupsPolicy", ["Merge", "Strict"]),
        (&context.se_linux_change_policy, "seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ];
    for (policy, field, supported) in policies {
        if let Some(policy) = policy {
            rules::one_of(policy, &supported, &path.child(field), errors);
        }
    }
}

fn sysctls(sysctls: &[Sysctl], spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, sysctl) in sysctls.iter().enumerate() {
        let at = path.index(index).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
        } else if !is_sysctl_name(name) {
            let why = "must have at most 253 characters and match regex \
                       ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(Error::invalid(&at, name, why));
        } else if sysctls[..index].iter().any(|earlier| earlier.name == sysctl.name) {
            errors.push(Error::duplicate(&at, name));
        }
        let dotted = name.replace('/', ".");
        let of_ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| dotted.starts_with(prefix));
        if spec.host_network == Some(true) && dotted.starts_with("net.") {
            errors.push(Error::invalid(&at, name, "may not be specified when 'hostNetwork' is true"));
        }
        if spec.host_ipc == Some(true) && (of_ipc || dotted == "kernel.sem") {
            errors.push(Error::invalid(&at, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b);
            edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
        })
}

fn seccomp(profile: &SeccompProfile, path: &Path, errors: &mut ErrorList) {
    let at = path.child("type");
    match profile.type_.as_str() {
        "" => errors.push(Error::required(&at, "type is required when seccompProfile is set")),
        kind => rules::one_of(kind, &PROFILE_TYPES, &at, errors),
    }
    let at = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.push(Error::required(&at, "must be set when seccomp type is Localhost")),
        ("Localhost", Some(target)) => rules::descending_path(target, &at, errors),
        (_, Some(_)) => {
            let value = serde_json::to_value(profile).unwrap_or_default();
            errors.push(Error::invalid(&at, value, "can only be set when seccomp type is Localhost"));
        }
        _ => {}
    }
}

fn app_armor(profile: &AppArmorProfile, path: &Path, errors: &mut ErrorList) {
    const MAX_BYTES: usize = 4095;
    const REQUIRED: &str = "must be set when AppArmor type is Localhost";
    let at = path.child("type");
    match profile.type_.as_str() {
        "" => errors.push(Error::required(&at, "type is required when appArmorProfile is set")),
        kind => rules::one_of(kind, &PROFILE_TYPES, &at, errors),
    }
    let at = path.child("localhostProfile");
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None) => errors.push(Error::required(&at, REQUIRED)),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(Error::invalid(&at, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(Error::required(&at, REQUIRED));
            }
            if name.len() > MAX_BYTES {
                errors.push(Error::too_long(&at, MAX_BYTES));
            }
        }
        (_, Some(name)) => errors.push(Error::invalid(&at, name, "can only be set when AppArmor type is Localhost")),
        _ => {}
    }
}

fn windows(options: &WindowsSecurityContextOptions, path: &Path, errors: &mut ErrorList) {
    const MAX_SPEC_BYTES: usize = 64 * 1024;
    if let Some(name) = &options.gmsa_credential_spec_name {
        rules::subdomain(name, &path.child("gmsaCredentialSpecName"), errors);
    }
    let at = path.child("gmsaCredentialSpec");
    match options.gmsa_credential_spec.as_deref() {
        Some("") => errors.push(Error::invalid(&at, "", "gmsaCredentialSpec cannot be an empty string")),
        Some(spec) if spec.len() > MAX_SPEC_BYTES => errors.push(Error::too_long(&at, MAX_SPEC_BYTES)),
        _ => {}
    }
    if options.run_as_user_name.as_deref() == Some("") {
        let at = path.child("runAsUserName");
        errors.push(Error::invalid(&at, "", "runAsUserName cannot be an empty string"));
    }
}

/// Containers that are processes of a Windows host: all of a pod or none, and in the host's network.
pub(super) fn host_processes(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let of_pod = spec.security_context.as_ref().and_then(|c| c.windows_options.as_ref()).and_then(|o| o.host_process);
    let of_container = |ctr: &Container| {
        let options = ctr.security_context.as_ref().and_then(|c| c.windows_options.as_ref());
        options.and_then(|options| options.host_process)
    };
    let lists = [(spec.containers.as_slice(), "containers"), (rules::slice(&spec.init_containers), "initContainers")];
    let (mut all, mut on_host) = (0, 0);
    for (containers, field) in lists {
        for (index, ctr) in containers.iter().enumerate() {
            all += 1;
            let own = of_container(ctr);
            on_host += usize::from(own.or(of_pod) == Some(true));
            if let (Some(own), Some(of_pod)) = (own, of_pod)
                && own != of_pod
            {
                let at = path.child(field).index(index).children(&["securityContext", "windowsOptions", "hostProcess"]);
                let why = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
                errors.push(Error::invalid(&at, own, why));
            }
        }
    }
    if on_host == 0 {
        return;
    }
    if on_host != all {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(path, "", why));
    }
    if spec.host_network != Some(true) {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&path.child("hostNetwork"), false, why));
    }
}

/// A pod with users of its own cannot share the host's other namespaces.
pub(super) fn user_namespace(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const WHY: &str = "when `hostUsers` is false";
    if spec.host_users != Some(false) {
        return;
    }
    for (is_set, field) in [(spec.host_network, "hostNetwork"), (spec.host_pid, "HostPID"), (spec.host_ipc, "HostIPC")]
    {
        if is_set == Some(true) {
            errors.push(Error::forbidden(&path.child(field), WHY));
        }
    }
}
