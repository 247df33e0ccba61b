//! The mounts the daemon makes: root file systems and the pods' shared memory.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What the kernel takes as options of one mount.
const OPTIONS_BYTES: usize = 4095;

/// Mounts a root file system: the image's layers (topmost first) below, the container's own changes above.
pub(crate) fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, on: &Path) -> io::Result<()> {
    let lower: Vec<String> = lower.iter().map(|path| path.display().to_string()).collect();
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), upper.display(), work.display());
    if options.len() > OPTIONS_BYTES {
        return Err(io::Error::other(format!(
            "the image has too many layers ({}) for the length of the path to the image store",
            lower.len()
        )));
    }
    Ok(mount(Some("overlay"), on, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?)
}

pub(crate) fn shared_memory(on: &Path, bytes: u64) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = format!("mode=1777,size={bytes}");
    Ok(mount(Some("shm"), on, Some("tmpfs"), flags, Some(options.as_str()))?)
}

/// Unmounts; what is not mounted is fine.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether mounts made below a mount later are seen by its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    Shared,
    Slave,
    Private,
}

/// The mount point a path is on, and whether that passes mounts on.
pub(crate) fn propagation(path: &Path) -> io::Result<(PathBuf, Propagation)> {
    let path = path.canonicalize()?;
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    propagation_in(&text, &path).ok_or_else(|| io::Error::other("no mount is above it"))
}

fn propagation_in(mountinfo: &str, path: &Path) -> Option<(PathBuf, Propagation)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, _) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(4);
        let point = PathBuf::from(fields.next()?.replace("\\040", " "));
        let kind = fields.skip(1).fold(Propagation::Private, |kind, field| match field.split_once(':') {
            Some(("shared", _)) => Propagation::Shared,
            Some(("master", _)) if kind == Propagation::Private => Propagation::Slave,
            _ => kind,
        });
        path.starts_with(&point).then_some((point, kind))
    });
    // Of several on one point the last is on top.
    mounts.max_by_key(|(point, _)| point.as_os_str().len())
}

/// All mount points below a folder, deepest first.
pub(crate) fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut found: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|path| path.starts_with(folder) && path != folder)
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_mount_on_top_tells_the_propagation() {
        let text = "1 0 0:1 / / rw - ext4 /dev/vda rw\n\
                    2 1 0:2 / /var rw master:3 - tmpfs t rw\n\
                    3 1 0:3 / /var/a\\040b rw - tmpfs t rw\n\
                    4 1 0:4 / /var/a\\040b rw shared:7 master:2 - tmpfs t rw\n";
        let of = |path: &str| propagation_in(text, Path::new(path)).unwrap();
        assert_eq!(of("/etc"), (PathBuf::from("/"), Propagation::Private));
        assert_eq!(of("/variable"), (PathBuf::from("/"), Propagation::Private));
        assert_eq!(of("/var/lib"), (PathBuf::from("/var"), Propagation::Slave));
        assert_eq!(of("/var/a b/c"), (PathBuf::from("/var/a b"), Propagation::Shared));
    }
}
