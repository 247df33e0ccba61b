//! Scratch space that lives as long as the pod: a directory, or memory.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use api::core::v1::{EmptyDirVolumeSource, Pod};
use apimachinery::Quantity;

use crate::{Context, Error, mounts, ownership};

/// Everybody in the pod may write.
const MODE: u32 = 0o777;

pub(crate) fn set_up(source: &EmptyDirVolumeSource, cx: &Context<'_>, dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io("creating", dir))?;
    match source.medium.as_deref().unwrap_or_default() {
        "" => {}
        "Memory" => {
            if !mounts::is_own_filesystem(dir).map_err(Error::io("reading", dir))? {
                mounts::tmpfs(dir, memory_size(source, cx))?;
            }
        }
        _ => return Err(Error::Unsupported { kind: "emptyDir with medium HugePages" }),
    }
    match cx.fs_group() {
        None => allow_all(dir),
        Some(group) => {
            if ownership::root_matches(dir, group).map_err(Error::io("reading", dir))? {
                return Ok(());
            }
            allow_all(dir)?;
            ownership::give_to_group(dir, group, false)
        }
    }
}

/// The mode is set after creation, as the umask takes bits away; an untouched one is not written again.
fn allow_all(dir: &Path) -> Result<(), Error> {
    let now = fs::symlink_metadata(dir).map_err(Error::io("reading", dir))?.permissions().mode();
    if now & MODE == MODE {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(MODE)).map_err(Error::io("changing the mode of", dir))
}

/// The smallest of: the volume's own limit, the memory limit of the pod, the memory of the node.
fn memory_size(source: &EmptyDirVolumeSource, cx: &Context<'_>) -> Option<i64> {
    let own = source.size_limit.as_ref().and_then(|q| q.0.parse::<Quantity>().ok()).filter(|q| !q.is_zero());
    let node = cx.node.allocatable.get("memory").copied();
    [own, pod_memory_limit(cx.pod), node].into_iter().flatten().min().map(|q| q.units())
}

/// The pod's memory limit, where every container has one.
fn pod_memory_limit(pod: &Pod) -> Option<Quantity> {
    let spec = pod.spec.as_ref()?;
    let whole = spec.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|l| l.contains_key("memory"));
    let each = spec.containers.iter().all(|c| {
        c.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|limits| limits.contains_key("memory"))
    });
    (whole || each).then(|| api::resources::pod_limits(spec).get("memory").copied()).flatten()
}
