//! Security contexts: the pod's and the container's own, as the runtime is told.

use api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use cri::v1::{
    Capability, Image, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode,
    NamespaceOption, SeLinuxOption, SecurityProfile, SupplementalGroupsPolicy, security_profile::ProfileType,
};

/// Hidden from containers unless they ask for an unmasked `/proc` (upstream's list).
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const MASKED_MORE: [&str; 1] = ["/sys/devices/virtual/powercap"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    ImageIsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    ImageUserName { user: String, pod: String, container: String },
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RunsAsRoot { pod: String, container: String },
    #[error("runAsGroup is specified without runAsUser and the image's user is not known")]
    GroupWithoutUser,
    #[error("localhost seccomp profile without a path")]
    SeccompPath,
}

fn pod_context(pod: &Pod) -> PodSecurityContext {
    pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default()
}

fn own(container: &Container) -> SecurityContext {
    container.security_context.clone().unwrap_or_default()
}

pub(crate) fn is_privileged(container: &Container) -> bool {
    container.security_context.as_ref().is_some_and(|s| s.privileged == Some(true))
}

pub(crate) fn namespaces(pod: &Pod) -> NamespaceOption {
    let spec = pod.spec.clone().unwrap_or_default();
    let mode = |host: Option<bool>| if host == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = if spec.host_pid == Some(true) {
        NamespaceMode::Node
    } else if spec.share_process_namespace == Some(true) {
        NamespaceMode::Pod
    } else {
        NamespaceMode::Container
    };
    NamespaceOption {
        network: mode(spec.host_network) as i32,
        pid: pid as i32,
        ipc: mode(spec.host_ipc) as i32,
        ..Default::default()
    }
}

/// Puts a container among the processes of another, where its pod has not one set of processes anyway.
pub(crate) fn share_processes(options: &mut NamespaceOption, target: &str) {
    if options.pid == NamespaceMode::Container as i32 {
        options.pid = NamespaceMode::Target as i32;
        target.clone_into(&mut options.target_id);
    }
}

fn int(value: i64) -> Int64Value {
    Int64Value { value }
}

fn selinux(options: Option<api::core::v1::SELinuxOptions>) -> Option<SeLinuxOption> {
    options.map(|o| SeLinuxOption {
        user: o.user.unwrap_or_default(),
        role: o.role.unwrap_or_default(),
        r#type: o.type_.unwrap_or_default(),
        level: o.level.unwrap_or_default(),
    })
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    context.fs_group.iter().chain(context.supplemental_groups.iter().flatten()).copied().collect()
}

fn groups_policy(context: &PodSecurityContext) -> i32 {
    match context.supplemental_groups_policy.as_deref() {
        Some("Strict") => SupplementalGroupsPolicy::Strict as i32,
        _ => SupplementalGroupsPolicy::Merge as i32,
    }
}

fn seccomp(
    profiles: [Option<&SeccompProfile>; 2],
    privileged: bool,
    by_default: bool,
    root: &std::path::Path,
) -> Result<SecurityProfile, SecurityError> {
    let plain = |kind: ProfileType| SecurityProfile { profile_type: kind as i32, localhost_ref: String::new() };
    if privileged {
        return Ok(plain(ProfileType::Unconfined));
    }
    Ok(match profiles.into_iter().flatten().next() {
        None if by_default => plain(ProfileType::RuntimeDefault),
        None => plain(ProfileType::Unconfined),
        Some(profile) => match profile.type_.as_str() {
            "RuntimeDefault" => plain(ProfileType::RuntimeDefault),
            "Localhost" => {
                let path = profile.localhost_profile.as_deref().filter(|p| !p.is_empty());
                let path = root.join("seccomp").join(path.ok_or(SecurityError::SeccompPath)?);
                SecurityProfile {
                    profile_type: ProfileType::Localhost as i32,
                    localhost_ref: path.to_string_lossy().into_owned(),
                }
            }
            _ => plain(ProfileType::Unconfined),
        },
    })
}

pub(crate) fn sandbox_context(
    pod: &Pod,
    by_default: bool,
    root: &std::path::Path,
) -> Result<LinuxSandboxSecurityContext, SecurityError> {
    let context = pod_context(pod);
    let spec = pod.spec.clone().unwrap_or_default();
    let privileged = spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(is_privileged);
    Ok(LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        selinux_options: selinux(context.se_linux_options.clone()),
        run_as_user: context.run_as_user.map(int),
        run_as_group: context.run_as_group.map(int),
        readonly_rootfs: false,
        supplemental_groups: groups(&context),
        supplemental_groups_policy: groups_policy(&context),
        privileged,
        // The sandbox's own process does nothing but wait, so it never needs more than the default.
        seccomp: Some(seccomp([context.seccomp_profile.as_ref(), None], false, by_default, root)?),
        ..Default::default()
    })
}

pub(crate) fn container_context(
    pod: &Pod,
    container: &Container,
    image: Option<&Image>,
    by_default: bool,
    root: &std::path::Path,
) -> Result<LinuxContainerSecurityContext, SecurityError> {
    let (whole, own) = (pod_context(pod), own(container));
    let privileged = own.privileged == Some(true);
    let user = own.run_as_user.or(whole.run_as_user);
    let group = own.run_as_group.or(whole.run_as_group);
    if own.run_as_non_root.or(whole.run_as_non_root) == Some(true) {
        refuse_root(pod, container, user, image)?;
    }
    let image_user = image.and_then(|i| i.uid.as_ref()).map(|u| u.value);
    let image_name = image.map(|i| i.username.clone()).unwrap_or_default();
    let run_as_user = user.or(image_user.filter(|_| image_name.is_empty()));
    if group.is_some() && run_as_user.is_none() && image_name.is_empty() && image.is_none() {
        return Err(SecurityError::GroupWithoutUser);
    }
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |list: Vec<&str>| if unmasked { Vec::new() } else { list.into_iter().map(str::to_owned).collect() };
    let capabilities = own.capabilities.unwrap_or_default();
    Ok(LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces(pod)),
        selinux_options: selinux(own.se_linux_options.or(whole.se_linux_options.clone())),
        run_as_user: run_as_user.map(int),
        run_as_group: group.map(int),
        run_as_username: if run_as_user.is_none() { image_name } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&whole),
        supplemental_groups_policy: groups_policy(&whole),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(MASKED.into_iter().chain(MASKED_MORE).collect()),
        readonly_paths: paths(READ_ONLY.to_vec()),
        seccomp: Some(seccomp(
            [own.seccomp_profile.as_ref(), whole.seccomp_profile.as_ref()],
            privileged,
            by_default,
            root,
        )?),
        ..Default::default()
    })
}

fn refuse_root(
    pod: &Pod,
    container: &Container,
    user: Option<i64>,
    image: Option<&Image>,
) -> Result<(), SecurityError> {
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let pod = format!("{}_{}({})", of(&meta.name), of(&meta.namespace), of(&meta.uid));
    let container = container.name.clone();
    match (user, image.and_then(|i| i.uid.as_ref()).map(|u| u.value)) {
        (Some(0), _) => Err(SecurityError::RunsAsRoot { pod, container }),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(SecurityError::ImageIsRoot { pod, container }),
        (None, Some(_)) => Ok(()),
        (None, None) => match image.map(|i| i.username.clone()).filter(|u| !u.is_empty()) {
            Some(user) => Err(SecurityError::ImageUserName { user, pod, container }),
            None => Err(SecurityError::ImageIsRoot { pod, container }),
        },
    }
}
