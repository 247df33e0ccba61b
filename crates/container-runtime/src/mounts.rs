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
