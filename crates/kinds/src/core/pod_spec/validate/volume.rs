//! Volumes: each has a name and exactly one source.

mod files;
mod network;

use std::collections::HashMap;

use api::core::v1::{
    EmptyDirVolumeSource, EphemeralVolumeSource, HostPathVolumeSource, PersistentVolumeClaimSpec, Volume,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::{Quantity, validation};

pub(super) use files::{downward_api_file, items, mode};

use super::{Volumes, container, projected};
use crate::rules;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Judges the volumes and returns those that containers may mount.
pub(super) fn volumes<'a>(volumes: &'a [Volume], pod_name: &str, path: &Path, errors: &mut ErrorList) -> Volumes<'a> {
    let mut good = HashMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let mut found = ErrorList::new();
        source(volume, pod_name, &path, &mut found);
        let at = path.child("name");
        match volume.name.as_str() {
            "" => found.push(Error::required(&at, "")),
            name => rules::label(name, &at, &mut found),
        }
        if good.contains_key(volume.name.as_str()) {
            found.push(Error::duplicate(&at, volume.name.clone()));
        }
        if found.is_empty() {
            good.insert(volume.name.as_str(), volume);
        }
        errors.extend(found);
    }
    good
}

/// The sources seen so far. Only the first is judged; each further one is one too many.
pub(super) struct Sources<'a> {
    path: &'a Path,
    count: usize,
}

impl Sources<'_> {
    fn add<T>(
        &mut self,
        source: &Option<T>,
        field: &str,
        errors: &mut ErrorList,
        judge: impl FnOnce(&T, &Path, &mut ErrorList),
    ) {
        let Some(source) = source else { return };
        let path = self.path.child(field);
        if self.count == 0 {
            judge(source, &path, errors);
        } else {
            errors.push(Error::forbidden(&path, "may not specify more than 1 volume type"));
        }
        self.count += 1;
    }
}

fn source(volume: &Volume, pod_name: &str, path: &Path, errors: &mut ErrorList) {
    let mut sources = Sources { path, count: 0 };
    sources.add(&volume.empty_dir, "emptyDir", errors, empty_dir);
    sources.add(&volume.host_path, "hostPath", errors, host_path);
    sources.add(&volume.git_repo, "gitRepo", errors, files::git_repo);
    sources.add(&volume.secret, "secret", errors, files::secret);
    sources.add(&volume.nfs, "nfs", errors, network::nfs);
    sources.add(&volume.iscsi, "iscsi", errors, network::iscsi);
    sources.add(&volume.persistent_volume_claim, "persistentVolumeClaim", errors, |claim, path, errors| {
        rules::required(&claim.claim_name, &path.child("claimName"), errors);
    });
    sources.add(&volume.downward_api, "downwardAPI", errors, files::downward_api);
    sources.add(&volume.config_map, "configMap", errors, files::config_map);
    sources.add(&volume.projected, "projected", errors, projected::validate);
    sources.add(&volume.csi, "csi", errors, network::csi);
    sources.add(&volume.ephemeral, "ephemeral", errors, |ephemeral, path, errors| {
        ephemeral_claim(ephemeral, pod_name, &volume.name, path, errors);
    });
    sources.add(&volume.image, "image", errors, |image, path, errors| {
        container::pull_policy(rules::text(&image.pull_policy), &path.child("pullPolicy"), errors);
    });
    network::others(volume, &mut sources, errors);
    if sources.count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
}

fn empty_dir(source: &EmptyDirVolumeSource, path: &Path, errors: &mut ErrorList) {
    let limit = source.size_limit.as_ref().map(|limit| limit.0.parse::<Quantity>());
    if limit.is_some_and(|limit| limit.is_ok_and(|limit| limit.is_negative())) {
        errors.push(Error::forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity"));
    }
}

fn host_path(source: &HostPathVolumeSource, path: &Path, errors: &mut ErrorList) {
    if source.path.is_empty() {
        errors.push(Error::required(&path.child("path"), ""));
        return;
    }
    rules::no_backsteps(&source.path, &path.child("path"), errors);
    if let Some(kind) = &source.type_ {
        rules::one_of(kind, &HOST_PATH_TYPES, &path.child("type"), errors);
    }
}

fn ephemeral_claim(
    source: &EphemeralVolumeSource,
    pod_name: &str,
    volume_name: &str,
    path: &Path,
    errors: &mut ErrorList,
) {
    let path = path.child("volumeClaimTemplate");
    let Some(template) = &source.volume_claim_template else {
        errors.push(Error::required(&path, ""));
        return;
    };
    let at = path.child("metadata");
    let metadata = template.metadata.as_ref();
    rules::annotations(metadata.and_then(|m| m.annotations.as_ref()), &at.child("annotations"), errors);
    rules::labels(metadata.and_then(|m| m.labels.as_ref()), &at.child("labels"), errors);
    claim_spec(&template.spec, &path.child("spec"), errors);
    if !pod_name.is_empty() {
        // The claim gets a name made of both.
        let name = format!("{pod_name}-{volume_name}");
        for why in validation::dns1123_subdomain(&name) {
            let why = format!("PVC name \"{name}\": {why}");
            errors.push(Error::invalid(&path.child("name"), volume_name, why));
        }
    }
}

/// A claim, here in its template.
fn claim_spec(spec: &PersistentVolumeClaimSpec, path: &Path, errors: &mut ErrorList) {
    let modes = rules::slice(&spec.access_modes);
    let at = path.child("accessModes");
    if modes.is_empty() {
        errors.push(Error::required(&at, "at least 1 access mode is required"));
    }
    if let Some(selector) = &spec.selector {
        rules::label_selector(selector, &path.child("selector"), errors);
    }
    for mode in modes {
        rules::one_of(mode, &ACCESS_MODES, &at, errors);
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        errors.push(Error::forbidden(&at, "may not use ReadWriteOncePod with other access modes"));
    }
    let at = path.child("resources").key("storage");
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    match requests.and_then(|requests| requests.get("storage")) {
        None => errors.push(Error::required(&at, "")),
        Some(size) => {
            rules::quantity_not_negative(size, &at, errors);
            if size.0.parse::<Quantity>().is_ok_and(|size| size.is_negative() || size.is_zero()) {
                errors.push(Error::invalid(&at, size.0.clone(), "must be greater than zero"));
            }
        }
    }
    for (name, field) in [
        (&spec.storage_class_name, "storageClassName"),
        (&spec.volume_attributes_class_name, "volumeAttributesClassName"),
    ] {
        if !rules::text(name).is_empty() {
            rules::subdomain(rules::text(name), &path.child(field), errors);
        }
    }
    if let Some(mode) = &spec.volume_mode {
        rules::one_of(mode, &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    }
}
