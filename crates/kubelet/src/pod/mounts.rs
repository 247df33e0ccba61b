//! What of the node a container sees: its volumes, `/etc/hosts` and the file for its last words.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use api::core::v1::{Container, VolumeMount};
use cri::v1::{Mount, MountPropagation};
use volumes::SubPath;

use super::expansion::expand_strict;

const HOSTS: &str = "/etc/hosts";

#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("mount {mount:?} names a volume that does not exist")]
    NoVolume { mount: String },
    #[error("failed to expand subPathExpr of {mount:?}: missing value for {names:?}")]
    Expression { mount: String, names: Vec<String> },
    #[error("failed to prepare subPath for volumeMount {mount:?} of container {container:?}: {source}")]
    SubPath { mount: String, container: String, source: volumes::Error },
    #[error("recursiveReadOnly of mount {mount:?} is not supported by this node")]
    RecursiveReadOnly { mount: String },
    #[error("volumeDevices of container {container:?} are not supported by this node")]
    Devices { container: String },
    #[error("preparing {}: {source}", path.display())]
    Disk { path: PathBuf, source: std::io::Error },
}

pub(crate) struct Request<'a> {
    pub(crate) pod_dir: &'a Path,
    pub(crate) container: &'a Container,
    /// Where each volume is on the node.
    pub(crate) volumes: &'a HashMap<String, PathBuf>,
    pub(crate) env: &'a [(String, String)],
    /// The pod's own hosts file, where it has one.
    pub(crate) hosts_file: Option<&'a Path>,
    pub(crate) restart_count: u32,
}

pub(crate) fn mounts(request: &Request<'_>) -> Result<Vec<Mount>, MountError> {
    let container = request.container;
    if container.volume_devices.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(MountError::Devices { container: container.name.clone() });
    }
    let mut made = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        made.push(volume_mount(request, index, mount)?);
    }
    let is_taken = |path: &str| container.volume_mounts.iter().flatten().any(|m| m.mount_path == path);
    if let Some(file) = request.hosts_file.filter(|_| !is_taken(HOSTS)) {
        made.push(bind(file, HOSTS, false));
    }
    let path = container.termination_message_path.as_deref().unwrap_or_default();
    if !path.is_empty() {
        let file = last_words_file(request)?;
        made.push(bind(&file, path, false));
    }
    Ok(made)
}

fn bind(host: &Path, container: &str, readonly: bool) -> Mount {
    Mount {
        host_path: host.to_string_lossy().into_owned(),
        container_path: container.to_owned(),
        readonly,
        ..Default::default()
    }
}

fn volume_mount(request: &Request<'_>, index: usize, mount: &VolumeMount) -> Result<Mount, MountError> {
    let name = || mount.name.clone();
    if mount.recursive_read_only.as_deref() == Some("Enabled") {
        return Err(MountError::RecursiveReadOnly { mount: name() });
    }
    let volume = request.volumes.get(&mount.name).ok_or_else(|| MountError::NoVolume { mount: name() })?;
    let sub_path = match mount.sub_path_expr.as_deref().filter(|e| !e.is_empty()) {
        Some(expression) => {
            let lookup = |name: &str| request.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            let expanded = expand_strict(expression, &lookup);
            expanded.map_err(|names| MountError::Expression { mount: name(), names })?
        }
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    let path = if sub_path.is_empty() {
        volume.clone()
    } else {
        let wanted = SubPath {
            volume_path: volume,
            sub_path: &sub_path,
            pod_dir: request.pod_dir,
            volume: &mount.name,
            container: &request.container.name,
            index,
        };
        let container = request.container.name.clone();
        volumes::bind_sub_path(&wanted).map_err(|source| MountError::SubPath { mount: name(), container, source })?
    };
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => MountPropagation::PropagationBidirectional,
        _ => MountPropagation::PropagationPrivate,
    };
    let target =
        if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
    let readonly = mount.read_only == Some(true);
    Ok(Mount { propagation: propagation as i32, ..bind(&path, &target, readonly) })
}

/// A fresh file for each run of the container, writable by whatever user it runs as.
fn last_words_file(request: &Request<'_>) -> Result<PathBuf, MountError> {
    let dir = request.pod_dir.join("containers").join(&request.container.name);
    let file = dir.join(request.restart_count.to_string());
    let make = || {
        fs::create_dir_all(&dir)?;
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o666).open(&file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666))
    };
    make().map_err(|source| MountError::Disk { path: file.clone(), source })?;
    Ok(file)
}
