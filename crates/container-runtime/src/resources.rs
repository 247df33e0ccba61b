//! A container's limits as OCI has them. A limit this machine cannot hold is refused, not left out.

use std::{fs, io, path::Path};

use cri::v1;
use serde_json::{Map, Value, json};

use crate::cgroup::Hierarchies;

/// A limit that cannot be held.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LimitError {
    #[error("unified: \"{key}\" cannot be set: this machine has cgroup version 1")]
    Version { key: String },
    #[error("unified: \"{key}\" is not the name of a cgroup file with a limit")]
    Name { key: String },
    #[error("unified: \"pids.max\" is {value:?}, neither a number nor \"max\"")]
    Pids { value: String },
    #[error("hugepage_limits: pages of {size} cannot be limited: this machine has no cgroup controller hugetlb")]
    Hugepages { size: String },
}

/// Zero means "not given" in the CRI.
pub(crate) fn resources(from: &v1::LinuxContainerResources, on: &Hierarchies) -> Result<Value, LimitError> {
    let mut cpu = Map::new();
    for (key, value) in [("quota", from.cpu_quota), ("period", from.cpu_period), ("shares", from.cpu_shares)] {
        if value != 0 {
            cpu.insert(key.into(), json!(value));
        }
    }
    for (key, value) in [("cpus", &from.cpuset_cpus), ("mems", &from.cpuset_mems)] {
        if !value.is_empty() {
            cpu.insert(key.into(), json!(value));
        }
    }
    let mut resources = json!({"cpu": cpu});
    if from.memory_limit_in_bytes > 0 {
        let limit = from.memory_limit_in_bytes;
        let swap = if from.memory_swap_limit_in_bytes > 0 { from.memory_swap_limit_in_bytes } else { limit };
        resources["memory"] = json!({"limit": limit, "swap": swap});
    }
    let files = unified(from, on)?;
    if on.is_v2() {
        resources["unified"] = json!(files);
    } else if let Some(max) = files.get("pids.max") {
        resources["pids"] = json!({"limit": max.parse::<i64>().unwrap_or(-1)});
    }
    let hugepages = hugepages(from, on)?;
    if !hugepages.is_empty() {
        resources["hugepageLimits"] = Value::Array(hugepages);
    }
    Ok(resources)
}

/// Files of the container's group to write and what; with version 1 only the one it has under the same name.
pub(crate) fn unified<'a>(
    from: &'a v1::LinuxContainerResources,
    on: &Hierarchies,
) -> Result<std::collections::BTreeMap<&'a str, &'a str>, LimitError> {
    for (key, value) in &from.unified {
        let owned = || key.clone();
        let is_file = key.split_once('.').is_some_and(|(controller, _)| !matches!(controller, "" | "cgroup"));
        if !is_file || key.contains('/') {
            return Err(LimitError::Name { key: owned() });
        }
        if key == "pids.max" {
            if value != "max" && value.parse::<u32>().is_err() {
                return Err(LimitError::Pids { value: value.clone() });
            }
        } else if !on.is_v2() {
            return Err(LimitError::Version { key: owned() });
        }
    }
    Ok(from.unified.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
}

/// Without the controller nothing holds a container to "none of this size", which is the kubelet's word for every size a
/// pod did not ask for; so that is passed over, as containerd does. A limit somebody asked for is not.
pub(crate) fn hugepages(from: &v1::LinuxContainerResources, on: &Hierarchies) -> Result<Vec<Value>, LimitError> {
    if on.has("hugetlb") {
        let limits = from.hugepage_limits.iter();
        return Ok(limits.map(|limit| json!({"pageSize": limit.page_size, "limit": limit.limit})).collect());
    }
    match from.hugepage_limits.iter().find(|limit| limit.limit > 0) {
        Some(limit) => Err(LimitError::Hugepages { size: limit.page_size.clone() }),
        None => Ok(Vec::new()),
    }
}

/// Version 2's weight for version 1's shares, by the curve runc and so libcontainer use since 2025: it meets both ends,
/// and the defaults of both, 1024 and 100.
fn weight(shares: i64) -> i64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = log * (log + 125.0) / 612.0 - 7.0 / 34.0;
    // A whisker below, since the ends and the default are whole numbers that rounding may overshoot.
    ((10f64.powf(exponent) - 1e-6).ceil() as i64).clamp(1, 10_000)
}

/// Changes limits of a running container. Zero means "leave as it is".
pub(crate) fn update(hierarchies: &Hierarchies, group: &Path, to: &v1::LinuxContainerResources) -> io::Result<()> {
    let v2 = hierarchies.is_v2();
    let write = |controller: &str, file: &str, value: String| match hierarchies.directory(controller, group) {
        Some(directory) => fs::write(directory.join(file), value)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot write {file}: {e}"))),
        None => Err(io::Error::other(format!("no cgroup controller {controller}"))),
    };
    if to.cpu_shares != 0 {
        match v2 {
            true => write("cpu", "cpu.weight", weight(to.cpu_shares).to_string())?,
            false => write("cpu", "cpu.shares", to.cpu_shares.to_string())?,
        }
    }
    if v2 && to.cpu_quota != 0 {
        let quota = if to.cpu_quota < 0 { "max".to_owned() } else { to.cpu_quota.to_string() };
        let period = if to.cpu_period == 0 { 100_000 } else { to.cpu_period };
        write("cpu", "cpu.max", format!("{quota} {period}"))?;
    } else {
        if to.cpu_period != 0 {
            write("cpu", "cpu.cfs_period_us", to.cpu_period.to_string())?;
        }
        if to.cpu_quota != 0 {
            write("cpu", "cpu.cfs_quota_us", to.cpu_quota.to_string())?;
        }
    }
    for (file, value) in [("cpuset.cpus", &to.cpuset_cpus), ("cpuset.mems", &to.cpuset_mems)] {
        if !value.is_empty() {
            write("cpuset", file, value.clone())?;
        }
    }
    for (file, value) in &to.unified {
        write(file.split('.').next().unwrap_or_default(), file, value.clone())?;
    }
    for page in to.hugepage_limits.iter().filter(|_| hierarchies.has("hugetlb")) {
        let kind = if v2 { "max" } else { "limit_in_bytes" };
        write("hugetlb", &format!("hugetlb.{}.{kind}", page.page_size), page.limit.to_string())?;
    }
    if to.memory_limit_in_bytes > 0 {
        let limit = to.memory_limit_in_bytes.to_string();
        if v2 {
            write("memory", "memory.max", limit)?;
        } else {
            // Memory may never exceed memory and swap: shrinking goes the other way round.
            let files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
            write("memory", files[0], limit.clone()).and_then(|()| write("memory", files[1], limit.clone())).or_else(
                |_| write("memory", files[1], limit.clone()).and_then(|()| write("memory", files[0], limit.clone())),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn machine(v2: bool, controllers: &[&str]) -> Hierarchies {
        let mount = std::path::PathBuf::from("/sys/fs/cgroup");
        Hierarchies {
            v1: controllers.iter().map(|name| ((*name).to_owned(), mount.join(name))).collect(),
            v2: v2.then(|| mount.clone()),
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            mounts: vec![mount],
        }
    }

    fn unified_of(key: &str, value: &str) -> v1::LinuxContainerResources {
        v1::LinuxContainerResources { unified: [(key.to_owned(), value.to_owned())].into(), ..Default::default() }
    }

    #[test]
    fn what_a_machine_cannot_hold_is_refused_by_name() {
        let (v1, v2) = (machine(false, &["memory", "pids"]), machine(true, &["memory", "pids", "hugetlb"]));
        let pids = resources(&unified_of("pids.max", "20"), &v1).unwrap();
        assert_eq!(pids["pids"]["limit"], 20);
        assert_eq!(resources(&unified_of("pids.max", "max"), &v1).unwrap()["pids"]["limit"], -1);
        let error = resources(&unified_of("memory.high", "1"), &v1).unwrap_err().to_string();
        assert_eq!(error, "unified: \"memory.high\" cannot be set: this machine has cgroup version 1");
        assert_eq!(resources(&unified_of("memory.high", "1"), &v2).unwrap()["unified"], json!({"memory.high": "1"}));
        for key in ["cgroup.procs", "../x.y", "nonsense", ".x"] {
            let error = resources(&unified_of(key, "1"), &v2).unwrap_err();
            assert_eq!(error, LimitError::Name { key: key.into() });
        }
        assert!(resources(&unified_of("pids.max", "many"), &v2).is_err());
        let page = |limit| v1::LinuxContainerResources {
            hugepage_limits: vec![v1::HugepageLimit { page_size: "2MB".into(), limit }],
            ..Default::default()
        };
        assert_eq!(resources(&page(1 << 21), &v2).unwrap()["hugepageLimits"][0]["limit"], 1 << 21);
        assert_eq!(resources(&page(1 << 21), &v1).unwrap_err(), LimitError::Hugepages { size: "2MB".into() });
        assert!(resources(&page(0), &v1).unwrap().get("hugepageLimits").is_none());
    }

    #[test]
    fn shares_become_weights_on_the_kernels_scale() {
        assert_eq!(weight(2), 1);
        assert_eq!((weight(100), weight(512), weight(1024)), (17, 59, 100));
        assert_eq!(weight(262_144), 10_000);
    }
}
