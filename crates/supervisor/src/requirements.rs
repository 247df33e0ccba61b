//! What a node needs of the machine, asked before anything is made, so that what is missing is named with its remedy.

use std::{env, fs, path::Path};

use nix::unistd::Uid;

/// Something the machine lacks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    #[error("a node mounts, makes namespaces and sets rules: run as root")]
    Root,
    #[error("the kernel has no file system {0}: load it with `modprobe {0}`, or choose a kernel that has it")]
    FileSystem(&'static str),
    #[error("the kernel has no cgroup controller {0}: enable it when it boots, with `cgroup_enable={0}`")]
    Controller(&'static str),
    #[error("no cgroup hierarchy is mounted: mount one with `mount -t cgroup2 cgroup2 /sys/fs/cgroup`")]
    Hierarchy,
    #[error("the kernel has no seccomp filters: choose one with CONFIG_SECCOMP_FILTER")]
    Seccomp,
    #[error("the program {0} is not on the PATH: install the package {1}")]
    Program(&'static str, &'static str),
}

const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const PROGRAMS: [(&str, &str); 1] = [("nft", "nftables")];
const SECCOMP: &str = "/proc/sys/kernel/seccomp/actions_avail";

/// The first thing this machine lacks.
pub(crate) fn check() -> Result<(), Missing> {
    if !Uid::effective().is_root() {
        return Err(Missing::Root);
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    kernel(&read("/proc/filesystems"), &read("/proc/mounts"), &read("/proc/cgroups"))?;
    if !Path::new(SECCOMP).exists() {
        return Err(Missing::Seccomp);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    match PROGRAMS.iter().find(|(program, _)| !is_there(program)) {
        Some((program, package)) => Err(Missing::Program(program, package)),
        None => Ok(()),
    }
}

fn kernel(file_systems: &str, mounts: &str, cgroups: &str) -> Result<(), Missing> {
    if !file_systems.lines().any(|line| line.split_whitespace().last() == Some("overlay")) {
        return Err(Missing::FileSystem("overlay"));
    }
    let is_cgroup = |line: &str| line.split(' ').nth(2).is_some_and(|kind| kind == "cgroup" || kind == "cgroup2");
    if !mounts.lines().any(is_cgroup) {
        return Err(Missing::Hierarchy);
    }
    // A name, its hierarchy, its groups, and whether it is enabled; kernels without version 1 leave the list empty.
    let listed = |controller: &str| {
        cgroups.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.next() == Some(controller) && fields.next_back() == Some("1")
        })
    };
    let is_listed = cgroups.lines().any(|line| !line.starts_with('#'));
    match CONTROLLERS.into_iter().find(|controller| is_listed && !listed(controller)) {
        Some(controller) => Err(Missing::Controller(controller)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_SYSTEMS: &str = "nodev\ttmpfs\n\text4\nnodev\toverlay\n";
    const MOUNTS: &str = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    const CGROUPS: &str =
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t3\t1\nmemory\t0\t3\t1\npids\t2\t3\t1\n";

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(kernel(FILE_SYSTEMS, MOUNTS, CGROUPS), Ok(()));
        assert_eq!(kernel(FILE_SYSTEMS, MOUNTS, "#subsys_name\n"), Ok(()));
        assert_eq!(kernel("nodev\ttmpfs\n", MOUNTS, CGROUPS), Err(Missing::FileSystem("overlay")));
        assert_eq!(kernel(FILE_SYSTEMS, "proc /proc proc rw 0 0\n", CGROUPS), Err(Missing::Hierarchy));
        let disabled = CGROUPS.replace("memory\t0\t3\t1", "memory\t0\t1\t0");
        assert_eq!(kernel(FILE_SYSTEMS, MOUNTS, &disabled), Err(Missing::Controller("memory")));
    }
}
