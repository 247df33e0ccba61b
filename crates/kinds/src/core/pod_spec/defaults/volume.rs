//! Defaults of volumes.

use api::core::v1::{
    DownwardAPIVolumeFile, EmptyDirVolumeSource, PersistentVolumeClaimSpec, ProjectedVolumeSource, Volume,
};

use super::{container, set_text};
use crate::quantities;

/// Read and write for the owner, read for all others.
const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i64 = 60 * 60;

pub(super) fn volume(volume: &mut Volume) {
    if !has_source(volume) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        source.items.iter_mut().flatten().for_each(downward_api_file);
    }
    volume.projected.iter_mut().for_each(projected);
    if let Some(source) = &mut volume.empty_dir {
        source.size_limit.iter_mut().for_each(quantities::canonicalize_one);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.image
        && source.pull_policy.as_deref().unwrap_or_default().is_empty()
    {
        let policy = container::image_pull_policy(source.reference.as_deref().unwrap_or_default());
        source.pull_policy = Some(policy.to_owned());
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        template.metadata.get_or_insert_default();
        claim_spec(&mut template.spec);
    }
    if let Some(source) = &mut volume.persistent_volume_claim {
        source.read_only = source.read_only.filter(|set| *set);
    }
    if let Some(source) = &mut volume.nfs {
        source.read_only = source.read_only.filter(|set| *set);
    }
    network_disks(volume);
}

fn has_source(volume: &Volume) -> bool {
    // Every field but the name is a source, and an absent one is not written.
    let tree = serde_json::to_value(volume).unwrap_or_default();
    tree.as_object().is_some_and(|fields| fields.keys().any(|field| field != "name"))
}

fn projected(source: &mut ProjectedVolumeSource) {
    source.default_mode.get_or_insert(FILE_MODE);
    for projection in source.sources.iter_mut().flatten() {
        if let Some(token) = &mut projection.service_account_token {
            token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
        }
        if let Some(files) = &mut projection.downward_api {
            files.items.iter_mut().flatten().for_each(downward_api_file);
        }
    }
}

fn downward_api_file(file: &mut DownwardAPIVolumeFile) {
    if let Some(field) = &mut file.field_ref {
        set_text(&mut field.api_version, "v1");
    }
    file.resource_field_ref.iter_mut().for_each(container::divisor);
}

/// Defaults of a claim, on its own or as a template.
fn claim_spec(spec: &mut PersistentVolumeClaimSpec) {
    set_text(&mut spec.volume_mode, "Filesystem");
    let resources = spec.resources.get_or_insert_default();
    quantities::canonicalize(&mut resources.limits);
    quantities::canonicalize(&mut resources.requests);
}

fn network_disks(volume: &mut Volume) {
    if let Some(source) = &mut volume.iscsi {
        set_text(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut volume.rbd {
        set_text(&mut source.pool, "rbd");
        set_text(&mut source.user, "admin");
        set_text(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut volume.azure_disk {
        source.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        source.kind.get_or_insert_with(|| "Shared".to_owned());
        source.fs_type.get_or_insert_with(|| "ext4".to_owned());
        source.read_only.get_or_insert(false);
    }
    if let Some(source) = &mut volume.scale_io {
        set_text(&mut source.storage_mode, "ThinProvisioned");
        set_text(&mut source.fs_type, "xfs");
    }
}
