//! What the pods of a node leave on the machine: to see that those that went left nothing.

use std::{collections::BTreeSet, fs, path::Path};

use testkit::Node;

use super::is_lasting;

/// Names of links, mounts, processes and folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remains(BTreeSet<String>);

impl Remains {
    pub(super) fn of(node: &Node) -> Self {
        let mut all = BTreeSet::new();
        let links = node.run(&["ip", "-o", "link"]).ok();
        all.extend(links.lines().map(|line| format!("link {}", line.split(": ").nth(1).unwrap())));
        let data = node.data_dir();
        let mounts = node.run(&["cat", "/proc/self/mountinfo"]).ok();
        let points = mounts.lines().map(|line| line.split(' ').nth(4).unwrap());
        let ours = |point: &&str| point.starts_with(data.to_str().unwrap()) || point.starts_with("/run/");
        all.extend(points.filter(ours).map(|point| format!("mount {point}")));
        let pids = node.pod_pids().into_iter().filter(|pid| is_lasting(*pid));
        all.extend(pids.map(|pid| format!("process {pid} in a pod")));
        // One of them is the daemon's own, another in each life.
        all.insert(format!("{} shims", shims(node).len()));
        for below in ["kubelet/pods", "runtime/sandboxes", "runtime/containers", "network", "logs"] {
            all.extend(names(&data.join(below)).iter().map(|name| format!("{below}/{name}")));
        }
        for group in node.cgroups() {
            // Those of the classes stay, as upstream's do.
            all.extend(groups(&group).into_iter().filter(|name| !name.ends_with("besteffort")));
        }
        Self(all)
    }

    /// What stands here and not there.
    pub(super) fn beyond(&self, other: &Self) -> Vec<String> {
        let more = self.0.difference(&other.0).map(|name| format!("+ {name}"));
        more.chain(other.0.difference(&self.0).map(|name| format!("- {name}"))).collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn groups(folder: &Path) -> Vec<String> {
    let below = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let below = below.filter(|path| path.is_dir()).flat_map(|path| groups(&path));
    below.chain([format!("group {}", folder.display())]).collect()
}

/// Processes of `knarr shim` in the mount namespace of the node, which outlive the daemon.
fn shims(node: &Node) -> Vec<u32> {
    let inside = node.run(&["readlink", "/proc/self/ns/mnt"]).ok();
    let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok());
    pids.filter(|pid| {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap_or_default();
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        namespace.to_string_lossy() == inside.trim() && words.split(|b| *b == 0).nth(1) == Some(b"shim")
    })
    .collect()
}
