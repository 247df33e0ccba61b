//! The system calls a container may make. The default list is data; it grows with the container's capabilities, as
//! Docker's and containerd's does.

use serde_json::{Value, json};

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
pub(crate) fn default_profile(capabilities: &[String]) -> Value {
    let has = |name: &str| capabilities.iter().any(|c| c == name);
    let mut names: Vec<&str> = ALLOWED.split_whitespace().collect();
    for (capability, more) in WITH_CAPABILITY {
        if has(capability) {
            names.extend(more);
        }
    }
    names.sort_unstable();
    names.dedup();
    names.retain(|name| libseccomp_knows(name));
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

/// A profile from a file of the node.
pub(crate) fn local_profile(path: &str) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|e| format!("cannot load seccomp profile {path:?}: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("cannot load seccomp profile {path:?}: {e}"))
}

/// Calls newer than the oldest libseccomp we run with; it refuses names it does not know.
fn libseccomp_knows(name: &str) -> bool {
    !matches!(
        name,
        "cachestat"
            | "fchmodat2"
            | "futex_requeue"
            | "futex_wait"
            | "futex_wake"
            | "map_shadow_stack"
            | "set_mempolicy_home_node"
    )
}
