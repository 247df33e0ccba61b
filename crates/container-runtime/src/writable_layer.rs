//! How much of the disk the writable layer of a container takes up.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use cri::v1;

use crate::protocol::now;

/// The kernel counts blocks of this size, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;

/// Counts blocks and inodes below the folder. What has several names counts once, what vanishes meanwhile not at all.
pub(crate) fn usage(upper: &Path) -> io::Result<v1::FilesystemUsage> {
    let (mut bytes, mut inodes) = (0, 0);
    let mut linked = HashSet::new();
    let mut folders: Vec<PathBuf> = vec![upper.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            // Gone, or deeper than a path can say: a container must not escape its limit by that.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            if found.nlink() > 1 && !found.is_dir() && !linked.insert(found.ino()) {
                continue;
            }
            bytes += found.blocks() * BLOCK_BYTES;
            inodes += 1;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(v1::FilesystemUsage {
        timestamp: now(),
        fs_id: Some(v1::FilesystemIdentifier { mountpoint: upper.display().to_string() }),
        used_bytes: Some(v1::UInt64Value { value: bytes }),
        inodes_used: Some(v1::UInt64Value { value: inodes }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn files_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/file"), vec![7; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("below/file"), folder.path().join("again")).unwrap();
        let counted = usage(folder.path()).unwrap();
        assert_eq!(counted.inodes_used.unwrap().value, 2);
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&counted.used_bytes.unwrap().value));
    }
}
