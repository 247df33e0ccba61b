//! Takes everything down that a runtime ever made, whether or not a daemon runs or records can be read.

use std::{fs, path::Path};

use tokio_util::task::TaskTracker;

use crate::{
    Config, Error, Result,
    cgroup::{self, Hierarchies},
    disk::{Layout, remove_tree},
    mounts,
    protocol::Call,
    shim_client::Shim,
};

/// Ends every pod and removes its processes, mounts, cgroups, network and records; images only if told. The daemon must
/// have ended. What is not there is fine.
pub async fn teardown_all(config: &Config, with_images: bool) -> Result<()> {
    let layout = Layout { root: config.root.clone(), state: config.state.clone() };
    let sockets = layout.state.join("s");
    let tasks = TaskTracker::new();
    for entry in entries(&sockets)? {
        match Shim::find(&entry, &tasks, |_| {}).await {
            Ok(Some(shim)) => {
                if let Err(error) = shim.call(Call::Shutdown).await {
                    tracing::debug!(%error, "a shim ended before it answered");
                }
                crate::sandbox::end(&shim).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(socket = %entry.display(), %error, "cannot reach a shim"),
        }
    }
    groups(config, &layout)?;
    for mount in mounts::below(&layout.root).map_err(Error::io("list mounts below", &layout.root))? {
        mounts::unmount(&mount).map_err(Error::io("unmount", &mount))?;
    }
    for folder in [layout.sandboxes(), layout.containers(), layout.state.clone()] {
        remove_tree(&folder).map_err(Error::io("remove", &folder))?;
    }
    if with_images {
        remove_tree(&layout.images()).map_err(Error::io("remove", layout.images()))?;
    }
    Ok(cni::teardown_all(&config.network).await?)
}

/// Kills and removes the cgroups of what the records name.
fn groups(config: &Config, layout: &Layout) -> Result<()> {
    let hierarchies = Hierarchies::detect().map_err(Error::Cgroups)?;
    let mut found = vec![config.cgroup_root.join("knarr")];
    for folder in entries(&layout.containers())? {
        if let Ok(Some(record)) = crate::disk::read::<crate::disk::ContainerRecord>(&folder.join("container.json")) {
            found.insert(0, record.cgroup.clone());
        }
    }
    for folder in entries(&layout.sandboxes())? {
        if let Ok(Some(record)) = crate::disk::read::<crate::disk::SandboxRecord>(&folder.join("sandbox.json")) {
            let parent = record.config.linux.as_ref().map_or("", |linux| linux.cgroup_parent.as_str());
            let parent = if parent.is_empty() { "knarr" } else { parent.trim_matches('/') };
            found.insert(0, config.cgroup_root.join(parent).join(&record.id));
        }
    }
    for group in found {
        let directories = hierarchies.directories(&group);
        cgroup::kill_all(&directories);
        cgroup::remove(&directories).map_err(Error::io("remove cgroup", &group))?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.path()).map_err(Error::io("read", folder))).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", folder)(error)),
    }
}
