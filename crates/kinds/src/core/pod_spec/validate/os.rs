//! Fields that exist on one operating system only.

use api::core::v1::{Container, PodSpec};
use apimachinery::field::{Error, ErrorList, Path};

use crate::rules;

pub(super) fn validate(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(os) = &spec.os else { return };
    match os.name.as_str() {
        "" => errors.push(Error::required(&path.children(&["os", "name"]), "cannot be empty")),
        "linux" => forbid(linux_lacks, "windows options cannot be set for a linux pod", spec, path, errors),
        "windows" => forbid(windows_lacks, "cannot be set for a windows pod", spec, path, errors),
        other => errors.push(Error::not_supported(&path.child("os"), other, &["linux", "windows"])),
    }
}

/// The fields that are set and must not be: of the pod, or of a container.
type Lacks = fn(Of<'_>) -> Vec<&'static str>;

enum Of<'a> {
    Pod(&'a PodSpec),
    Container(&'a Container),
}

fn forbid(lacks: Lacks, why: &str, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut add = |fields: Vec<&str>, path: &Path| {
        for field in fields {
            let parts: Vec<&str> = field.split('.').collect();
            errors.push(Error::forbidden(&path.children(&parts), why));
        }
    };
    add(lacks(Of::Pod(spec)), path);
    let lists = [(spec.containers.as_slice(), "containers"), (rules::slice(&spec.init_containers), "initContainers")];
    for (containers, field) in lists {
        for (index, ctr) in containers.iter().enumerate() {
            add(lacks(Of::Container(ctr)), &path.child(field).index(index));
        }
    }
}

fn linux_lacks(of: Of<'_>) -> Vec<&'static str> {
    let set = match of {
        Of::Pod(spec) => spec.security_context.as_ref().is_some_and(|c| c.windows_options.is_some()),
        Of::Container(ctr) => ctr.security_context.as_ref().is_some_and(|c| c.windows_options.is_some()),
    };
    if set { vec!["securityContext.windowsOptions"] } else { Vec::new() }
}

fn windows_lacks(of: Of<'_>) -> Vec<&'static str> {
    let fields: Vec<(bool, &'static str)> = match of {
        Of::Pod(spec) => {
            let mut fields = vec![
                (spec.host_pid == Some(true), "hostPID"),
                (spec.host_ipc == Some(true), "hostIPC"),
                (spec.host_users.is_some(), "hostUsers"),
                (spec.share_process_namespace.is_some(), "shareProcessNamespace"),
            ];
            if let Some(context) = &spec.security_context {
                fields.extend([
                    (context.app_armor_profile.is_some(), "securityContext.appArmorProfile"),
                    (context.se_linux_options.is_some(), "securityContext.seLinuxOptions"),
                    (context.seccomp_profile.is_some(), "securityContext.seccompProfile"),
                    (context.fs_group.is_some(), "securityContext.fsGroup"),
                    (context.fs_group_change_policy.is_some(), "securityContext.fsGroupChangePolicy"),
                    (!rules::slice(&context.sysctls).is_empty(), "securityContext.sysctls"),
                    (context.run_as_user.is_some(), "securityContext.runAsUser"),
                    (context.run_as_group.is_some(), "securityContext.runAsGroup"),
                    (context.supplemental_groups.is_some(), "securityContext.supplementalGroups"),
                    (context.supplemental_groups_policy.is_some(), "securityContext.supplementalGroupsPolicy"),
                    (context.se_linux_change_policy.is_some(), "securityContext.seLinuxChangePolicy"),
                ]);
            }
            fields
        }
        Of::Container(ctr) => ctr.security_context.as_ref().map_or_else(Vec::new, |context| {
            vec![
                (context.app_armor_profile.is_some(), "securityContext.appArmorProfile"),
                (context.se_linux_options.is_some(), "securityContext.seLinuxOptions"),
                (context.seccomp_profile.is_some(), "securityContext.seccompProfile"),
                (context.capabilities.is_some(), "securityContext.capabilities"),
                (context.read_only_root_filesystem.is_some(), "securityContext.readOnlyRootFilesystem"),
                (context.privileged.is_some(), "securityContext.privileged"),
                (context.allow_privilege_escalation.is_some(), "securityContext.allowPrivilegeEscalation"),
                (context.proc_mount.is_some(), "securityContext.procMount"),
                (context.run_as_user.is_some(), "securityContext.runAsUser"),
                (context.run_as_group.is_some(), "securityContext.runAsGroup"),
            ]
        }),
    };
    fields.into_iter().filter(|(set, _)| *set).map(|(_, field)| field).collect()
}
