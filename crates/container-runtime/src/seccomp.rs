//! The system calls a container may make. The default list is data; it grows with the container's capabilities, as
//! Docker's and containerd's does.
//!
//! The daemon compiles a profile once and lays the filter into the folder of each container that has it; a container's
//! process loads it as its last step. libcontainer is not told of it: it would compile the profile in every container.

mod cache;
mod compile;
mod confinement;
mod newer;

use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

pub(crate) use cache::Filters;
pub(crate) use compile::Filter;
pub(crate) use confinement::Confinement;

/// What a container's filter is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `RuntimeDefault`, for a container with these capabilities.
    Default { capabilities: Vec<String> },
    /// A file of the node, with what it holds.
    Local { path: String, text: Vec<u8> },
}

/// Why a profile gives no filter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("cannot load seccomp profile {path:?}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("decoding seccomp profile {path:?} failed: {source}")]
    Decode { path: String, source: serde_json::Error },
    #[error("seccomp profile {path:?} cannot be used: {source}")]
    Compile { path: String, source: compile::CompileError },
}

impl Profile {
    pub(crate) fn local(path: &str) -> Result<Self, ProfileError> {
        let text = std::fs::read(path).map_err(|source| ProfileError::Read { path: path.to_owned(), source })?;
        Ok(Self::Local { path: path.to_owned(), text })
    }

    fn compile(&self) -> Result<Filter, ProfileError> {
        let (path, profile) = match self {
            Self::Default { capabilities } => {
                ("runtime/default", serde_json::from_value(default_profile(capabilities)))
            }
            Self::Local { path, text } => (path.as_str(), serde_json::from_slice::<LinuxSeccomp>(text)),
        };
        let profile = profile.map_err(|source| ProfileError::Decode { path: path.to_owned(), source })?;
        compile::compile(&profile).map_err(|source| ProfileError::Compile { path: path.to_owned(), source })
    }
}

const ALLOWED: &str = include_str!("../data/seccomp-allowed.txt");

/// Calls that come with a capability.
const WITH_CAPABILITY: [(&str, &[&str]); 14] = [
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    (
        "CAP_SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    ("CAP_SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("CAP_SYS_PACCT", &["acct"]),
    ("CAP_SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
    ("CAP_SYS_RAWIO", &["iopl", "ioperm"]),
    ("CAP_SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
    ("CAP_SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_BPF", &["bpf"]),
    ("CAP_PERFMON", &["perf_event_open"]),
];

/// Bits of `clone` that make namespaces.
const NAMESPACE_FLAGS: u64 = 0x7E02_0000;
const ENOSYS: u32 = libc::ENOSYS as u32;
const AF_VSOCK: u64 = 40;
/// Execution domains a program may choose: Linux, BSD-like, UNAME26, and the query.
const PERSONALITIES: [u64; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

fn architectures() -> Value {
    match std::env::consts::ARCH {
        "x86_64" => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        _ => json!([]),
    }
}

/// The profile `RuntimeDefault`, for a container with these capabilities.
fn default_profile(capabilities: &[String]) -> Value {
    let has = |name: &str| capabilities.iter().any(|c| c == name);
    let mut names: Vec<&str> = ALLOWED.split_whitespace().collect();
    for (capability, more) in WITH_CAPABILITY {
        if has(capability) {
            names.extend(more);
        }
    }
    names.sort_unstable();
    names.dedup();
    let argument = |index: u32, value: u64, operator: &str| json!({"index": index, "value": value, "op": operator});
    let mut calls = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"})];
    calls.push(json!({
        "names": ["socket"], "action": "SCMP_ACT_ALLOW",
        "args": [argument(0, AF_VSOCK, "SCMP_CMP_NE")]
    }));
    for persona in PERSONALITIES {
        calls.push(json!({
            "names": ["personality"], "action": "SCMP_ACT_ALLOW",
            "args": [argument(0, persona, "SCMP_CMP_EQ")]
        }));
    }
    if !has("CAP_SYS_ADMIN") {
        let masked = json!({"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"});
        calls.push(json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [masked]}));
        // C libraries fall back to `clone`, whose flags can be looked at.
        calls.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures(),
        "syscalls": calls,
    })
}

#[cfg(test)]
mod tests;
