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
        let at_path = at.child("mountPath");
        if !points.insert(mount.mount_path.as_str()) {
            errors.push(Error::invalid(&at_path, mount.mount_path.as_str(), "must be unique"));
        }
        let devices = rules::slice(&ctr.volume_devices);
        if devices.iter().any(|device| device.name == mount.name) {
            let why = "must not already exist in volumeDevices";
            errors.push(Error::invalid(&at.child("name"), mount.name.as_str(), why));
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&at_path, mount.mount_path.as_str(), why));
        }
        sub_paths(mount, &at, path, errors);
        propagation(mount, ctr, &path.child("mountPropagation"), errors);
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
    }
}

/// Upstream names the list, not the mount, in most of what follows.
fn sub_paths(mount: &VolumeMount, own: &Path, path: &Path, errors: &mut ErrorList) {
    let (sub_path, expression) = (rules::text(&mount.sub_path), rules::text(&mount.sub_path_expr));
    if !sub_path.is_empty() {
        rules::descending_path(sub_path, &path.child("subPath"), errors);
    }
    if !expression.is_empty() {
        if !sub_path.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&own.child("subPathExpr"), expression, why));
        }
        rules::descending_path(expression, &path.child("subPathExpr"), errors);
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
        match cx.volumes.get(device.name.as_str()) {
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&at.child("name"), device.name.as_str(), why));
            }
            Some(_) => {}
            None => errors.push(Error::not_found(&at.child("name"), device.name.clone())),
        }
        let mounts = rules::slice(&ctr.volume_mounts);
        if mounts.iter().any(|mount| mount.name == device.name) {
            let why = "must not already exist in volumeMounts";
            errors.push(Error::invalid(&at.child("name"), device.name.as_str(), why));
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
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            refuse("must not already exist as a path in volumeMounts");
        }
    }
}
