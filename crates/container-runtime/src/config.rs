//! What the runtime is told at start. Every root is a parameter, so that several nodes fit on one machine.

use std::path::PathBuf;

/// Folders, names and programs of one node's runtime.
#[derive(Debug, Clone)]
pub struct Config {
    /// Images, container records and writable layers; survives a reboot.
    pub root: PathBuf,
    /// Sockets; may be on a tmpfs. At most 70 bytes long, since socket addresses are short.
    pub state: PathBuf,
    /// The group below which all groups the kubelet names are made; `/` on a whole machine.
    pub cgroup_root: PathBuf,
    pub network: cni::Config,
    pub registries: images::Registries,
    /// The program and arguments that lead to `shim::main`: usually this executable and `shim`. `zygote` is appended.
    pub shim_command: (PathBuf, Vec<String>),
}
