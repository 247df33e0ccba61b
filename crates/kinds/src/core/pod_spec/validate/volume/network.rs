//! Volumes from elsewhere: network file systems, disks of clouds, CSI drivers.

use api::core::v1::{CSIVolumeSource, FCVolumeSource, ISCSIVolumeSource, NFSVolumeSource, Volume};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use super::Sources;
use crate::rules;

pub(super) fn nfs(source: &NFSVolumeSource, path: &Path, errors: &mut ErrorList) {
    rules::required(&source.server, &path.child("server"), errors);
    let at = path.child("path");
    rules::required(&source.path, &at, errors);
    if !source.path.starts_with('/') {
        errors.push(Error::invalid(&at, source.path.as_str(), "must be an absolute path"));
    }
}

pub(super) fn iscsi(source: &ISCSIVolumeSource, path: &Path, errors: &mut ErrorList) {
    rules::required(&source.target_portal, &path.child("targetPortal"), errors);
    match source.iqn.as_str() {
        "" => errors.push(Error::required(&path.child("iqn"), "")),
        name => iscsi_name(name, &path.child("iqn"), errors),
    }
    rules::in_range(source.lun.into(), 0, 255, &path.child("lun"), errors);
    let authenticates = source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true);
    if authenticates && source.secret_ref.is_none() {
        errors.push(Error::required(&path.child("secretRef"), ""));
    }
    if let Some(name) = &source.initiator_name {
        iscsi_name(name, &path.child("initiatorname"), errors);
    }
}

fn iscsi_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let hex = |digits: &str, lengths: &[usize]| {
        lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let valid = if let Some(rest) = name.strip_prefix("iqn.") {
        is_iqn(rest)
    } else if let Some(rest) = name.strip_prefix("eui.") {
        hex(rest, &[16])
    } else if let Some(rest) = name.strip_prefix("naa.") {
        hex(rest, &[16, 32])
    } else {
        errors.push(Error::invalid(path, name, "must be valid format starting with iqn, eui, or naa"));
        return;
    };
    if !valid {
        errors.push(Error::invalid(path, name, "must be valid format"));
    }
}

/// `2001-04.com.example:disk`: year and month, a domain in reverse, an optional name.
fn is_iqn(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let date = bytes.len() > 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5..7].iter().all(u8::is_ascii_digit)
        && bytes[7] == b'.';
    date && rest[8..]
        .split_once(':')
        .map_or(&rest[8..], |(domain, _)| domain)
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

pub(super) fn csi(source: &CSIVolumeSource, path: &Path, errors: &mut ErrorList) {
    const DRIVER_MAX_BYTES: usize = 63;
    let at = path.child("driver");
    rules::required(&source.driver, &at, errors);
    if source.driver.len() > DRIVER_MAX_BYTES {
        errors.push(Error::too_long(&at, DRIVER_MAX_BYTES));
    }
    rules::invalid_each(&source.driver, validation::dns1123_subdomain(&source.driver.to_lowercase()), &at, errors);
    if let Some(secret) = &source.node_publish_secret_ref {
        let at = path.children(&["nodePublishSecretRef", "name"]);
        match secret.name.as_str() {
            "" => errors.push(Error::required(&at, "")),
            name => rules::subdomain(name, &at, errors),
        }
    }
}

fn fc(source: &FCVolumeSource, path: &Path, errors: &mut ErrorList) {
    let (wwns, wwids) = (rules::slice(&source.target_wwns), rules::slice(&source.wwids));
    let at = path.child("targetWWNs");
    if wwns.is_empty() && wwids.is_empty() {
        errors.push(Error::required(&at, "must specify either targetWWNs or wwids, but not both"));
    }
    if !wwns.is_empty() && !wwids.is_empty() {
        errors.push(Error::invalid(&at, wwns.to_vec(), "targetWWNs and wwids can not be specified simultaneously"));
    }
    if !wwns.is_empty() {
        let at = path.child("lun");
        match source.lun {
            None => errors.push(Error::required(&at, "lun is required if targetWWNs is specified")),
            Some(lun) => rules::in_range(lun.into(), 0, 255, &at, errors),
        }
    }
}

/// Required texts of a source, by field.
fn texts(fields: &[(&str, &str)], path: &Path, errors: &mut ErrorList) {
    for (value, field) in fields {
        rules::required(value, &path.child(field), errors);
    }
}

/// Sources that few use: required fields only.
pub(super) fn others(volume: &Volume, sources: &mut Sources<'_>, errors: &mut ErrorList) {
    sources.add(&volume.fc, "fc", errors, fc);
    sources.add(&volume.gce_persistent_disk, "gcePersistentDisk", errors, |s, path, errors| {
        texts(&[(&s.pd_name, "pdName")], path, errors);
        rules::in_range(s.partition.unwrap_or_default().into(), 0, 255, &path.child("partition"), errors);
    });
    sources.add(&volume.aws_elastic_block_store, "awsElasticBlockStore", errors, |s, path, errors| {
        texts(&[(&s.volume_id, "volumeID")], path, errors);
        rules::in_range(s.partition.unwrap_or_default().into(), 0, 255, &path.child("partition"), errors);
    });
    sources.add(&volume.glusterfs, "glusterfs", errors, |s, path, errors| {
        texts(&[(&s.endpoints, "endpoints"), (&s.path, "path")], path, errors);
    });
    sources.add(&volume.flocker, "flocker", errors, |s, path, errors| {
        let (name, uuid) = (rules::text(&s.dataset_name), rules::text(&s.dataset_uuid));
        match (name.is_empty(), uuid.is_empty()) {
            (true, true) => errors.push(Error::required(path, "one of datasetName and datasetUUID is required")),
            (false, false) => {
                let why = "datasetName and datasetUUID can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", why));
            }
            _ if name.contains('/') => {
                errors.push(Error::invalid(&path.child("datasetName"), name, "must not contain '/'"));
            }
            _ => {}
        }
    });
    sources.add(&volume.rbd, "rbd", errors, |s, path, errors| {
        if s.monitors.is_empty() {
            errors.push(Error::required(&path.child("monitors"), ""));
        }
        texts(&[(&s.image, "image")], path, errors);
    });
    sources.add(&volume.cinder, "cinder", errors, |s, path, errors| {
        texts(&[(&s.volume_id, "volumeID")], path, errors);
    });
    sources.add(&volume.cephfs, "cephfs", errors, |s, path, errors| {
        if s.monitors.is_empty() {
            errors.push(Error::required(&path.child("monitors"), ""));
        }
    });
    sources.add(&volume.quobyte, "quobyte", errors, |s, path, errors| {
        texts(&[(&s.registry, "registry"), (&s.volume, "volume")], path, errors);
    });
    sources.add(&volume.flex_volume, "flexVolume", errors, |s, path, errors| {
        texts(&[(&s.driver, "driver")], path, errors);
        for key in s.options.iter().flatten().map(|(key, _)| key.as_str()) {
            if key
                .split_once('/')
                .is_some_and(|(domain, _)| domain.ends_with("kubernetes.io") || domain.ends_with("k8s.io"))
            {
                let why = "kubernetes.io and k8s.io namespaces are reserved";
                errors.push(Error::invalid(&path.child("options").key(key), key, why));
            }
        }
    });
    sources.add(&volume.azure_file, "azureFile", errors, |s, path, errors| {
        texts(&[(&s.secret_name, "secretName"), (&s.share_name, "shareName")], path, errors);
    });
    sources.add(&volume.vsphere_volume, "vsphereVolume", errors, |s, path, errors| {
        texts(&[(&s.volume_path, "volumePath")], path, errors);
    });
    sources.add(&volume.photon_persistent_disk, "photonPersistentDisk", errors, |s, path, errors| {
        texts(&[(&s.pd_id, "pdID")], path, errors);
    });
    sources.add(&volume.portworx_volume, "portworxVolume", errors, |s, path, errors| {
        texts(&[(&s.volume_id, "volumeID")], path, errors);
    });
    sources.add(&volume.azure_disk, "azureDisk", errors, |s, path, errors| {
        texts(&[(&s.disk_name, "diskName"), (&s.disk_uri, "diskURI")], path, errors);
        if let Some(mode) = &s.caching_mode {
            rules::one_of(mode, &["None", "ReadOnly", "ReadWrite"], &path.child("cachingMode"), errors);
        }
        if let Some(kind) = &s.kind {
            rules::one_of(kind, &["Dedicated", "Managed", "Shared"], &path.child("kind"), errors);
        }
    });
    sources.add(&volume.storageos, "storageos", errors, |s, path, errors| {
        let name = rules::text(&s.volume_name);
        match name {
            "" => errors.push(Error::required(&path.child("volumeName"), "")),
            name => rules::label(name, &path.child("volumeName"), errors),
        }
        let namespace = rules::text(&s.volume_namespace);
        if !namespace.is_empty() {
            rules::label(namespace, &path.child("volumeNamespace"), errors);
        }
    });
    sources.add(&volume.scale_io, "scaleIO", errors, |s, path, errors| {
        let name = rules::text(&s.volume_name);
        texts(&[(&s.gateway, "gateway"), (&s.system, "system"), (name, "volumeName")], path, errors);
    });
}
