//! The cgroups of pods and of the classes they belong to: `kubepods`, `kubepods/burstable`, `kubepods/besteffort`, and
//! one for each pod. Containers' own are the runtime's. Both versions of the interface.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use api::{
    core::v1::Pod,
    resources::{Amounts, QosClass, pod_limits, pod_requests, qos_class},
};

use crate::pod::resources::{MIN_SHARES, QUOTA_PERIOD, quota, shares};

const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Controllers of the first version that pods are given a place in.
const V1_CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];
const V2_CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

#[derive(Debug, thiserror::Error)]
#[error("cgroup {}: {source}", path.display())]
pub struct CgroupError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Limits of one cgroup, in the kernel's units; none leaves what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    cpu_shares: Option<i64>,
    /// Microseconds in each period.
    cpu_quota: Option<i64>,
    memory: Option<i64>,
    pids: Option<i64>,
}

pub(crate) struct Cgroups {
    mount: PathBuf,
    /// Without slashes at its ends.
    root: String,
    version: Version,
    pids_limit: Option<i64>,
}

impl Cgroups {
    pub(crate) fn new(mount: &Path, root: &str, pids_limit: Option<i64>) -> Self {
        let magic = nix::sys::statfs::statfs(mount).map(|s| s.filesystem_type().0);
        let version = if magic == Ok(CGROUP2_MAGIC) { Version::V2 } else { Version::V1 };
        Self { mount: mount.to_owned(), root: root.trim_matches('/').to_owned(), version, pids_limit }
    }

    /// The pod's cgroup as the runtime is told, absolute within the hierarchy.
    pub(crate) fn pod_path(&self, pod: &Pod) -> String {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        format!("/{}/pod{uid}", self.class_path(qos_class(pod)))
    }

    fn class_path(&self, class: QosClass) -> String {
        let class = match class {
            QosClass::Guaranteed => "",
            QosClass::Burstable => "/burstable",
            QosClass::BestEffort => "/besteffort",
        };
        let root = if self.root.is_empty() { String::new() } else { format!("{}/", self.root) };
        format!("{root}kubepods{class}")
    }

    /// Makes the cgroups of the classes. `allocatable` bounds all pods together.
    pub(crate) fn set_up_classes(&self, allocatable: &Amounts) -> Result<(), CgroupError> {
        let whole = Limits {
            cpu_shares: allocatable.get("cpu").map(|q| shares(q.milli())),
            memory: allocatable.get("memory").map(|q| q.units()),
            ..Limits::default()
        };
        self.make(&self.class_path(QosClass::Guaranteed), &whole)?;
        let least = Limits { cpu_shares: Some(MIN_SHARES), ..Limits::default() };
        self.make(&self.class_path(QosClass::BestEffort), &least)?;
        self.make(&self.class_path(QosClass::Burstable), &Limits::default())
    }

    /// The weight of burstable pods together: the sum of what they ask for.
    pub(crate) fn weigh_burstable(&self, milli_cpu: i64) -> Result<(), CgroupError> {
        let limits = Limits { cpu_shares: Some(shares(milli_cpu)), ..Limits::default() };
        self.make(&self.class_path(QosClass::Burstable), &limits)
    }

    /// Makes or updates the cgroup of a pod.
    pub(crate) fn set_up_pod(&self, pod: &Pod, cfs_quota: bool) -> Result<(), CgroupError> {
        let limits = pod_cgroup_limits(pod, cfs_quota, self.pids_limit);
        self.make(self.pod_path(pod).trim_matches('/'), &limits)
    }

    /// Removes every cgroup of pods, and the root if it is ours alone. Nothing may run in them.
    pub(crate) fn remove_all(&self) -> Result<(), CgroupError> {
        for hierarchy in self.hierarchies(true) {
            remove(&hierarchy.join(self.class_path(QosClass::Guaranteed)))?;
            if !self.root.is_empty() {
                // Somebody else may have something in it.
                std::fs::remove_dir(hierarchy.join(&self.root)).ok();
            }
        }
        Ok(())
    }

    /// Removes the pod's cgroup, wherever the class of the pod may have put it. Nothing may run in it.
    pub(crate) fn remove_pod(&self, uid: &str) -> Result<(), CgroupError> {
        for class in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
            let path = format!("{}/pod{uid}", self.class_path(class));
            for hierarchy in self.hierarchies(true) {
                remove(&hierarchy.join(&path))?;
            }
        }
        Ok(())
    }

    fn hierarchies(&self, all: bool) -> Vec<PathBuf> {
        if self.version == Version::V2 {
            return vec![self.mount.clone()];
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.mount).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let known = name.to_str().is_some_and(|n| n.split(',').any(|c| V1_CONTROLLERS.contains(&c)));
            // Links only give a second name to a hierarchy.
            let real = entry.file_type().is_ok_and(|t| t.is_dir());
            if real && (all || known) {
                found.push(entry.path());
            }
        }
        found
    }

    fn make(&self, path: &str, limits: &Limits) -> Result<(), CgroupError> {
        match self.version {
            Version::V2 => self.make_v2(path, limits),
            Version::V1 => {
                for hierarchy in self.hierarchies(false) {
                    make_v1(&hierarchy, path, limits)?;
                }
                Ok(())
            }
        }
    }

    fn make_v2(&self, path: &str, limits: &Limits) -> Result<(), CgroupError> {
        let mut at = self.mount.clone();
        for part in path.split('/') {
            let have = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
            for controller in have.split_whitespace().filter(|c| V2_CONTROLLERS.contains(c)) {
                write(&at, "cgroup.subtree_control", &format!("+{controller}"))?;
            }
            at.push(part);
            create(&at)?;
        }
        if let Some(shares) = limits.cpu_shares {
            write(&at, "cpu.weight", &weight(shares).to_string())?;
        }
        if let Some(quota) = limits.cpu_quota {
            write(&at, "cpu.max", &format!("{quota} {QUOTA_PERIOD}"))?;
        }
        if let Some(memory) = limits.memory {
            write(&at, "memory.max", &memory.to_string())?;
        }
        if let Some(pids) = limits.pids {
            write(&at, "pids.max", &pids.to_string())?;
        }
        Ok(())
    }
}

/// Limits hold for a pod as a whole only where every container has one.
fn pod_cgroup_limits(pod: &Pod, cfs_quota: bool, pids: Option<i64>) -> Limits {
    let Some(spec) = &pod.spec else { return Limits::default() };
    let (requests, limits) = (pod_requests(spec), pod_limits(spec));
    let whole = spec.resources.as_ref().and_then(|r| r.limits.as_ref());
    let limited = |name: &str| {
        let each = spec
            .containers
            .iter()
            .all(|c| c.resources.as_ref().and_then(|r| r.limits.as_ref()).is_some_and(|l| l.contains_key(name)));
        each || whole.is_some_and(|l| l.contains_key(name))
    };
    let cpu_limit = limits.get("cpu").map(|q| q.milli()).unwrap_or_default();
    let cpu_request = requests.get("cpu").map(|q| q.milli()).unwrap_or(cpu_limit);
    Limits {
        cpu_shares: Some(shares(cpu_request)),
        cpu_quota: quota(cpu_limit).filter(|_| cfs_quota && limited("cpu")),
        memory: limits.get("memory").map(|q| q.units()).filter(|_| limited("memory")),
        pids,
    }
}

/// Upstream's mapping of shares (2 to 262144) to weight (1 to 10000).
fn weight(shares: i64) -> i64 {
    1 + ((shares - 2) * 9999) / 262_142
}

fn make_v1(hierarchy: &Path, path: &str, limits: &Limits) -> Result<(), CgroupError> {
    let mut at = hierarchy.to_owned();
    for part in path.split('/') {
        let parent = at.clone();
        at.push(part);
        create(&at)?;
        // Without them nothing can be put in a cpuset.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            inherit(&parent, &at, file)?;
        }
    }
    let there = |file: &str| at.join(file).exists();
    if let Some(shares) = limits.cpu_shares.filter(|_| there("cpu.shares")) {
        write(&at, "cpu.shares", &shares.to_string())?;
    }
    if let Some(quota) = limits.cpu_quota.filter(|_| there("cpu.cfs_quota_us")) {
        write(&at, "cpu.cfs_period_us", &QUOTA_PERIOD.to_string())?;
        write(&at, "cpu.cfs_quota_us", &quota.to_string())?;
    }
    if let Some(memory) = limits.memory.filter(|_| there("memory.limit_in_bytes")) {
        write(&at, "memory.limit_in_bytes", &memory.to_string())?;
    }
    if let Some(pids) = limits.pids.filter(|_| there("pids.max")) {
        write(&at, "pids.max", &pids.to_string())?;
    }
    Ok(())
}

fn inherit(parent: &Path, child: &Path, file: &str) -> Result<(), CgroupError> {
    let Ok(now) = fs::read_to_string(child.join(file)) else { return Ok(()) };
    if !now.trim().is_empty() {
        return Ok(());
    }
    let path = parent.join(file);
    let above = fs::read_to_string(&path).map_err(|source| CgroupError { path, source })?;
    write(child, file, above.trim())
}

fn create(path: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(CgroupError { path: path.to_owned(), source: e }),
        _ => Ok(()),
    }
}

fn write(dir: &Path, file: &str, text: &str) -> Result<(), CgroupError> {
    let path = dir.join(file);
    fs::write(&path, text).map_err(|source| CgroupError { path, source })
}

/// Removes a cgroup and those below it.
fn remove(path: &Path) -> Result<(), CgroupError> {
    let below = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(CgroupError { path: path.to_owned(), source }),
    };
    for entry in below.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        remove(&entry.path())?;
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(CgroupError { path: path.to_owned(), source: e }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn pod(containers: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"containers": containers}})).unwrap()
    }

    #[test]
    fn paths_by_class() {
        let made = Cgroups::new(Path::new("/nowhere"), "/a/", None);
        let all = json!({"cpu": "1", "memory": "1Gi"});
        let guaranteed = pod(json!([{"name": "c", "resources": {"limits": all, "requests": all}}]));
        assert_eq!(made.pod_path(&guaranteed), "/a/kubepods/podu");
        let burstable = pod(json!([{"name": "c", "resources": {"requests": {"cpu": "1"}}}]));
        assert_eq!(made.pod_path(&burstable), "/a/kubepods/burstable/podu");
        let root = Cgroups::new(Path::new("/nowhere"), "/", None);
        assert_eq!(root.pod_path(&pod(json!([{"name": "c"}]))), "/kubepods/besteffort/podu");
    }

    #[test]
    fn limits_need_every_container() {
        let limited =
            json!({"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1"}}});
        let both = pod_cgroup_limits(&pod(json!([limited, limited])), true, Some(9));
        let expect = Limits { cpu_shares: Some(2048), cpu_quota: Some(200_000), memory: Some(2 << 20), pids: Some(9) };
        assert_eq!(both, expect);
        let one = pod_cgroup_limits(&pod(json!([limited, {"name": "b"}])), true, None);
        assert_eq!(one, Limits { cpu_shares: Some(1024), ..Limits::default() });
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
    }
}
