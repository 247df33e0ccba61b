//! How much of the disk a folder takes up: blocks and inodes, as `du -x` counts them.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use api::core::v1::Volume;

/// The kernel counts blocks of this size, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    pub inodes: u64,
}

impl Space {
    pub fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, inodes: self.inodes + other.inodes }
    }
}

/// Where a volume that counts as the pod's local storage has its files; none for one that does not.
pub fn local_path(pod_dir: &Path, volume: &Volume) -> Option<PathBuf> {
    let plugin = match (&volume.empty_dir, &volume.config_map) {
        (Some(source), _) if source.medium.as_deref().unwrap_or_default().is_empty() => "empty-dir",
        (None, Some(_)) => "configmap",
        _ => return None,
    };
    Some(crate::set_up::place(pod_dir, plugin, &volume.name))
}

/// Counts a file or a folder with all below it, on its own file system only. What vanishes meanwhile counts as nothing;
/// what has several names counts once.
pub fn disk_usage(path: &Path) -> io::Result<Space> {
    let top = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Space::default()),
        found => found?,
    };
    let device = top.dev();
    let mut sum = Space { bytes: top.blocks() * BLOCK_BYTES, inodes: 1 };
    let mut linked = HashSet::new();
    let mut folders = if top.is_dir() { vec![path.to_owned()] } else { Vec::new() };
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // Deeper than a path can say: a pod must not escape its limit by that, so the rest is counted.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            if found.dev() != device || (found.nlink() > 1 && !found.is_dir() && !linked.insert(found.ino())) {
                continue;
            }
            sum = sum.plus(Space { bytes: found.blocks() * BLOCK_BYTES, inodes: 1 });
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn what_takes_up_space_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let before = disk_usage(folder.path()).unwrap();
        assert_eq!(before.inodes, 1);
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("file"), vec![7; 1 << 20]).unwrap();
        fs::hard_link(below.join("file"), folder.path().join("other name")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let after = disk_usage(folder.path()).unwrap();
        assert_eq!(after.inodes, 4);
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&(after.bytes - before.bytes)), "{after:?}");
        assert_eq!(disk_usage(&folder.path().join("nothing")).unwrap(), Space::default());
    }
}
