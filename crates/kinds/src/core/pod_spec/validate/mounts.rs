//! Where a container sees volumes: mounts and block devices.

use std::collections::HashSet;

use api::core::v1::{Container, VolumeMount};
use apimachinery::field::{Error, ErrorList, Path};

use super::Cx;
use crate::rules;

pub(super) fn mounts(ctr: &Container, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let mut points = HashSet::new();
    for (index, mount) in rules::slice(&ctr.volume_mounts).iter().enumerate() {
        let at = path.index(index);
        rules::required(&mount.name, &at.child("name"), errors);
        if !cx.volumes.contains_key(mount.name.as_str()) {
            errors.push(Error::not_found(&at.child("name"), mount.name.clone()));
        }
        rules::required(&mount.mount_path, &at.child("mountPath"), errors);
        let mut refuse =
            |why: &str| errors.push(Error::invalid(&at.child("mountPath"), mount.mount_path.as_str(), why));
        if !points.insert(mount.mount_path.as_str()) {
            refuse("must be unique");
        }
        if rules::slice(&ctr.volume_devices).iter().any(|device| device.device_path == mount.mount_path) {
            refuse("must not already exist in volumeDevices");
        }
        sub_paths(mount, path, errors);
        propagation(mount, ctr, &path.child("mountPropagation"), errors);
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
    }
}

/// Upstream names the list, not the mount, in what follows.
fn sub_paths(mount: &VolumeMount, path: &Path, errors: &mut ErrorList) {
    let (sub_path, expression) = (rules::text(&mount.sub_path), rules::text(&mount.sub_path_expr));
    if !sub_path.is_empty() {
        rules::descending_path(sub_path, &path.child("subPath"), errors);
    }
    if !expression.is_empty() {
        let at = path.child("subPathExpr");
        if !sub_path.is_empty() {
            errors.push(Error::invalid(&at, expression, "subPathExpr and subPath are mutually exclusive"));
        }
        rules::descending_path(expression, &at, errors);
    }
}

fn propagation(mount: &VolumeMount, ctr: &Container, path: &Path, errors: &mut ErrorList) {
    let Some(propagation) = &mount.mount_propagation else { return };
    rules::one_of(propagation, &["Bidirectional", "HostToContainer", "None"], path, errors);
    let privileged = ctr.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if propagation == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(path, why));
    }
}

fn recursive_read_only(mount: &VolumeMount, path: &Path, errors: &mut ErrorList) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|p| p != "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, why));
            }
        }
        Some(other) => errors.push(Error::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

pub(super) fn devices(ctr: &Container, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for (index, device) in rules::slice(&ctr.volume_devices).iter().enumerate() {
        let at = path.index(index);
        rules::required(&device.name, &at.child("name"), errors);
        if !names.insert(device.name.as_str()) {
            errors.push(Error::invalid(&at.child("name"), device.name.clone(), "must be unique"));
        }
        let claimed = |name: &str| {
            let volume = cx.volumes.get(name);
            volume.is_some_and(|v| v.persistent_volume_claim.is_some() || v.ephemeral.is_some())
        };
        if !claimed(&device.name) {
            errors.push(Error::not_found(&at.child("name"), device.name.clone()));
        }
        let at = at.child("devicePath");
        rules::required(&device.device_path, &at, errors);
        let mut refuse = |why: &str| errors.push(Error::invalid(&at, device.device_path.as_str(), why));
        if !paths.insert(device.device_path.as_str()) {
            refuse("must be unique");
        }
        if device.device_path.split('/').any(|part| part == "..") {
            refuse("can not contain backsteps ('..')");
        }
        if rules::slice(&ctr.volume_mounts).iter().any(|mount| mount.mount_path == device.device_path) {
            refuse("must not already exist in volumeMounts");
        }
    }
}
