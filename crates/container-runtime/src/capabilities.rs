//! Capabilities of containers, never more than our own: in some machines even root lacks a few.

use std::{collections::BTreeSet, sync::OnceLock};

/// By number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless told otherwise; as containerd.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The capabilities this process may hand on.
pub(crate) fn bounding() -> &'static BTreeSet<&'static str> {
    static OWN: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    OWN.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or(0);
        NAMES.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, name)| *name).collect()
    })
}

/// As bits. Names may or may not begin with `CAP_`.
pub(crate) fn mask(names: &[String]) -> u64 {
    let bit = |name: &String| NAMES.iter().position(|known| *known == name.trim_start_matches("CAP_"));
    names.iter().filter_map(bit).fold(0, |mask, bit| mask | (1 << bit))
}

/// The set for a container, as names with `CAP_`. An unknown name, or one we lack ourselves, is an error.
pub(crate) fn for_container(
    privileged: bool,
    add: &[String],
    drop: &[String],
    own: &BTreeSet<&'static str>,
) -> Result<Vec<String>, String> {
    let canonical = |name: &String| {
        let upper = name.to_uppercase();
        upper.strip_prefix("CAP_").map_or(upper.clone(), str::to_owned)
    };
    let mut set: BTreeSet<&'static str> =
        if privileged { own.clone() } else { DEFAULT.iter().copied().filter(|name| own.contains(name)).collect() };
    let known = |name: &str| NAMES.iter().copied().find(|known| *known == name);
    let add: Vec<String> = add.iter().map(canonical).collect();
    let drop: Vec<String> = drop.iter().map(canonical).collect();
    if add.iter().any(|name| name == "ALL") {
        set.clone_from(own);
    }
    if drop.iter().any(|name| name == "ALL") {
        set.clear();
    }
    for name in drop.iter().filter(|name| *name != "ALL") {
        let name = known(name).ok_or_else(|| format!("unknown capability \"CAP_{name}\""))?;
        set.remove(name);
    }
    for name in add.iter().filter(|name| *name != "ALL") {
        let name = known(name).ok_or_else(|| format!("unknown capability \"CAP_{name}\""))?;
        if !own.contains(name) {
            return Err(format!("this machine does not have capability \"CAP_{name}\" to give"));
        }
        set.insert(name);
    }
    Ok(set.into_iter().map(|name| format!("CAP_{name}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn own() -> BTreeSet<&'static str> {
        NAMES.iter().copied().filter(|name| *name != "SYS_RESOURCE").collect()
    }

    #[test]
    fn sets_follow_add_and_drop() {
        let set = |privileged, add: &[&str], drop: &[&str]| {
            let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            for_container(privileged, &text(add), &text(drop), &own())
        };
        assert_eq!(set(false, &[], &[]).unwrap().len(), DEFAULT.len());
        assert_eq!(set(false, &["NET_ADMIN"], &["ALL"]).unwrap(), ["CAP_NET_ADMIN"]);
        assert!(!set(false, &[], &["cap_chown"]).unwrap().contains(&"CAP_CHOWN".to_owned()));
        assert_eq!(set(true, &[], &[]).unwrap().len(), 40, "all but what the machine lacks");
        assert_eq!(set(false, &["ALL"], &[]).unwrap().len(), 40);
        assert!(set(false, &["SYS_RESOURCE"], &[]).is_err());
        assert!(set(false, &["NONSENSE"], &[]).is_err());
    }
}
