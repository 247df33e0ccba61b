//! Making one volume of a pod, whatever its type.

use std::{
    fs,
    path::{Path, PathBuf},
};

use api::core::v1::{Pod, Volume};

use crate::{
    Error, Gathered, NodeFacts, atomic_writer, config_map, downward_api, empty_dir, host_path, mounts, ownership,
    payload::Payload, projected, secret,
};

/// What set-up works with.
pub struct Context<'a> {
    pub pod: &'a Pod,
    /// The pod's directory on this node, named by its uid; its volumes live below.
    pub pod_dir: &'a Path,
    pub gathered: &'a Gathered,
    pub node: &'a NodeFacts,
}

impl Context<'_> {
    pub(crate) fn fs_group(&self) -> Option<u32> {
        let group = self.pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
        u32::try_from(group).ok()
    }

    fn dir(&self, plugin: &str, volume: &Volume) -> PathBuf {
        place(self.pod_dir, plugin, &volume.name)
    }
}

/// Where a volume of that type is.
pub(crate) fn place(pod_dir: &Path, plugin: &str, volume: &str) -> PathBuf {
    pod_dir.join("volumes").join(format!("kubernetes.io~{plugin}")).join(volume)
}

/// A volume that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is on the node.
    pub path: PathBuf,
    /// Whether files in it changed by this call.
    pub changed: bool,
}

/// Makes the volume, or brings it up to date. Safe to call again and again, and after a crash in the middle.
pub fn set_up(cx: &Context<'_>, volume: &Volume) -> Result<Mounted, Error> {
    if let Some(source) = &volume.empty_dir {
        let path = cx.dir("empty-dir", volume);
        empty_dir::set_up(source, cx, &path)?;
        return Ok(Mounted { path, changed: false });
    }
    if let Some(source) = &volume.host_path {
        return Ok(Mounted { path: host_path::set_up(source)?, changed: false });
    }
    if let Some(source) = &volume.config_map {
        let payload = config_map::payload(source, cx.gathered)?;
        return files(cx, cx.dir("configmap", volume), &payload, Medium::Disk);
    }
    if let Some(source) = &volume.secret {
        let payload = secret::payload(source, cx.gathered)?;
        return files(cx, cx.dir("secret", volume), &payload, Medium::Memory);
    }
    if let Some(source) = &volume.downward_api {
        let payload = downward_api::payload(source, cx.pod, cx.node)?;
        return files(cx, cx.dir("downward-api", volume), &payload, Medium::Memory);
    }
    if let Some(source) = &volume.projected {
        let payload = projected::payload(source, cx)?;
        return files(cx, cx.dir("projected", volume), &payload, Medium::Memory);
    }
    Err(unsupported(volume).map_or(Error::Unknown, |kind| Error::Unsupported { kind }))
}

enum Medium {
    Disk,
    /// Nothing secret reaches the disk.
    Memory,
}

fn files(cx: &Context<'_>, path: PathBuf, payload: &Payload, medium: Medium) -> Result<Mounted, Error> {
    fs::create_dir_all(&path).map_err(Error::io("creating", &path))?;
    if matches!(medium, Medium::Memory) && !mounts::is_own_filesystem(&path).map_err(Error::io("reading", &path))? {
        mounts::tmpfs(&path, cx.node.allocatable.get("memory").map(|q| q.units()))?;
    }
    let group = cx.fs_group();
    let changed = atomic_writer::write(&path, payload, group)?;
    if let Some(group) = group {
        ownership::own_one(&path, group, true).map_err(Error::io("changing the group of", &path))?;
    }
    Ok(Mounted { path, changed })
}

/// The name of a source this node does not make.
fn unsupported(volume: &Volume) -> Option<&'static str> {
    let known = [
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.cinder.is_some(), "cinder"),
        (volume.csi.is_some(), "csi"),
        (volume.ephemeral.is_some(), "ephemeral"),
        (volume.fc.is_some(), "fc"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.flocker.is_some(), "flocker"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.image.is_some(), "image"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.nfs.is_some(), "nfs"),
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.rbd.is_some(), "rbd"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
    ];
    known.into_iter().find_map(|(there, kind)| there.then_some(kind))
}
