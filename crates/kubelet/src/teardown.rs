//! The end of a node: what the kubelet has put into the kernel is taken out. The pods must have ended before.

use std::{fs, io, path::PathBuf};

use nix::mount::{MntFlags, umount2};

use crate::{KubeletConfig, cgroups::Cgroups, error::Error};

/// Unmounts the volumes and removes the cgroups of all pods. Done twice, it finds nothing the second time.
pub fn tear_down(config: &KubeletConfig) -> Result<(), Error> {
    for mount in mounts_below(&config.root_dir)? {
        let failed = |errno: nix::Error| Error::Disk { doing: "unmounting", path: mount.clone(), source: errno.into() };
        umount2(&mount, MntFlags::MNT_DETACH).map_err(failed)?;
    }
    Cgroups::new(&config.cgroup_mount, &config.cgroup_root, None).remove_all().map_err(Error::Cgroups)
}

/// What is mounted below a folder, innermost first.
fn mounts_below(folder: &std::path::Path) -> Result<Vec<PathBuf>, Error> {
    let table = PathBuf::from("/proc/self/mountinfo");
    let failed = |source: io::Error| Error::Disk { doing: "reading", path: table.clone(), source };
    let text = fs::read_to_string(&table).map_err(failed)?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    below.sort();
    below.reverse();
    Ok(below)
}

/// The table writes blanks and backslashes as octal numbers.
fn unescape(point: &str) -> PathBuf {
    let blanks = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(blanks.iter().fold(point.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain)))
}
