//! Taking away everything a pod's volumes left on this node.

use std::{fs, io, path::Path};

use crate::{Error, mounts};

/// Unmounts and removes the pod's volumes, from what is on disk alone. Nothing is removed while anything is still
/// mounted below, so that data outside (a host path bound by `subPath`) can never be reached by the removal.
pub fn tear_down(pod_dir: &Path) -> Result<(), Error> {
    let pod_dir = match fs::canonicalize(pod_dir) {
        Ok(dir) => dir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("reading", pod_dir)(e)),
    };
    for part in ["volume-subpaths", "volumes"] {
        let dir = pod_dir.join(part);
        mounts::detach_below(&dir)?;
        if let Some(left) = mounts::below(&dir)?.into_iter().next() {
            return Err(Error::Io { doing: "unmounting", path: left, source: io::ErrorKind::ResourceBusy.into() });
        }
        match fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("removing", dir)(e)),
        }
    }
    Ok(())
}
