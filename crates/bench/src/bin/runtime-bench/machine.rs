//! What the driver does to the machine and reads from it: namespaces, a cgroup, processor time, memory of shims.

use std::{
    fs, io,
    ops::Sub,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

/// Only seen inside the driver's own network namespace.
pub(crate) const POD_RANGE: &str = "10.78.0.0/23";

/// Leaves the machine's network and mounts.
pub(crate) fn isolate() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    run("mount", &["--make-rprivate", "/"])?;
    run("ip", &["link", "set", "lo", "up"])
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}

/// Processor time in milliseconds: of the driver, which is the daemon, and of all there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) all_ms: f64,
    pub(crate) daemon_ms: f64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { all_ms: self.all_ms - before.all_ms, daemon_ms: self.daemon_ms - before.daemon_ms }
    }
}

/// A cgroup that counts the processor time of everything the driver starts.
pub(crate) struct Group {
    /// In the hierarchy that counts processor time.
    folder: PathBuf,
    pods: PathBuf,
}

impl Group {
    pub(crate) fn enter() -> io::Result<Self> {
        let name = format!("runtime-bench-{}", std::process::id());
        let mount = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let mount = mount.into_iter().find(|path| {
            Path::new(path).join("cpuacct.usage").exists() || Path::new(path).join("cgroup.controllers").exists()
        });
        let mount = mount.ok_or_else(|| io::Error::other("no cgroup hierarchy counts processor time"))?;
        let group = Self { folder: Path::new(mount).join(&name), pods: Path::new("/").join(name).join("pods") };
        let own = group.folder.join("daemon");
        fs::create_dir_all(&own)?;
        fs::write(own.join("cgroup.procs"), "0")?;
        Ok(group)
    }

    /// Where the pods' groups are to be made.
    pub(crate) fn pods(&self) -> &Path {
        &self.pods
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let all_ms = match fs::read_to_string(self.folder.join("cpuacct.usage")) {
            Ok(nanoseconds) => nanoseconds.trim().parse::<f64>()? / 1e6,
            Err(_) => {
                let text = fs::read_to_string(self.folder.join("cpu.stat"))?;
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).context("no usage_usec")?;
                line.parse::<f64>()? / 1e3
            }
        };
        let own = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
        let daemon_ms = [own.user_time(), own.system_time()]
            .map(|time| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3)
            .iter()
            .sum();
        Ok(Usage { all_ms, daemon_ms })
    }

    /// Median memory of the shims that run.
    pub(crate) fn shims(&self) -> anyhow::Result<serde_json::Value> {
        let (mut shared, mut own) = (Vec::new(), Vec::new());
        for entry in fs::read_dir("/proc")?.flatten() {
            let folder = entry.path();
            let of_pods = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            if name.trim() != "knarr-shim" || !of_pods.contains(&format!("{}/", self.pods.display())) {
                continue;
            }
            let text = fs::read_to_string(folder.join("smaps_rollup"))?;
            let sum = |prefix: &str| -> u64 {
                let lines = text.lines().filter(|line| line.starts_with(prefix));
                lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
            };
            shared.push(sum("Pss:"));
            own.push(sum("Private_"));
        }
        shared.sort_unstable();
        own.sort_unstable();
        let median = |of: &[u64]| of.get(of.len() / 2).copied();
        Ok(json!({"what": "memory of a shim", "shims": own.len(), "pss_kib": median(&shared), "own_kib": median(&own)}))
    }

    /// Leaves the group and removes it from every hierarchy.
    pub(crate) fn remove(self) {
        let above = self.folder.parent().map(|mount| mount.join("cgroup.procs"));
        if let Some(error) = above.and_then(|procs| fs::write(procs, "0").err()) {
            eprintln!("cannot leave the cgroup: {error}");
        }
        let Some(name) = self.folder.file_name() else { return };
        let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return };
        let folders = hierarchies.flatten().map(|entry| entry.path().join(name));
        for folder in folders.chain([self.folder.clone()]) {
            remove_tree(&folder);
        }
    }
}

/// What is not empty or not there stays as it is.
fn remove_tree(folder: &Path) {
    if let Ok(entries) = fs::read_dir(folder) {
        entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).for_each(|e| remove_tree(&e.path()));
        if let Err(error) = fs::remove_dir(folder) {
            eprintln!("cannot remove {}: {error}", folder.display());
        }
    }
}
