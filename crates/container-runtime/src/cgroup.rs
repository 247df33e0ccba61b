//! Control groups, version 1 and 2: where a container's directories are, what they say, and how to empty them.
//!
//! Version 1 has a hierarchy per controller, mounted where the machine likes; the mounts are read once.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A killed process stays in its group until it is reaped; then the directory can go.
/// On a loaded machine a killed process may wait long for its turn to end.
const REMOVE_TRIES: u32 = 2000;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);
const KILL_ROUNDS: usize = 100;

/// The hierarchies of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Hierarchies {
    /// Version 1: controller to mount point. Named hierarchies and `unified` are keyed by their folder's name.
    pub(crate) v1: BTreeMap<String, PathBuf>,
    /// The version 2 mount point, where it carries the controllers.
    pub(crate) v2: Option<PathBuf>,
    /// Those that version 2 carries, if it carries any of weight.
    pub(crate) controllers: Vec<String>,
    /// All distinct mount points.
    pub(crate) mounts: Vec<PathBuf>,
}

const CONTROLLERS: [&str; 12] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
];

impl Hierarchies {
    /// Reads the mounts of this process.
    pub(crate) fn detect() -> io::Result<Self> {
        let mut found = Self::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        if let Some(mount) = &found.v2 {
            let text = fs::read_to_string(mount.join("cgroup.controllers"))?;
            found.controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        Ok(found)
    }

    fn parse(mountinfo: &str) -> Self {
        let mut found = Self { v1: BTreeMap::new(), v2: None, controllers: Vec::new(), mounts: Vec::new() };
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(mount) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut right = right.split(' ');
            match right.next() {
                Some("cgroup") => {
                    let options = right.nth(1).unwrap_or_default();
                    let mut any = false;
                    for option in options.split(',') {
                        if CONTROLLERS.contains(&option) || option.starts_with("name=") {
                            found.v1.entry(option.to_owned()).or_insert_with(|| mount.clone());
                            any = true;
                        }
                    }
                    if any && !found.mounts.contains(&mount) {
                        found.mounts.push(mount);
                    }
                }
                Some("cgroup2") => unified = unified.or(Some(mount)),
                _ => {}
            }
        }
        match unified {
            Some(mount) if !found.v1.contains_key("memory") => {
                found.mounts = vec![mount.clone()];
                found.v2 = Some(mount);
            }
            Some(mount) => found.mounts.push(mount),
            None => {}
        }
        found
    }

    /// The directories of a group in all hierarchies that libcontainer makes for it.
    pub(crate) fn directories(&self, group: &Path) -> Vec<PathBuf> {
        let inside = group.strip_prefix("/").unwrap_or(group);
        self.mounts.iter().map(|mount| mount.join(inside)).collect()
    }

    /// The directory of a group for one controller.
    pub(crate) fn directory(&self, controller: &str, group: &Path) -> Option<PathBuf> {
        let inside = group.strip_prefix("/").unwrap_or(group);
        self.v2.as_ref().or_else(|| self.v1.get(controller)).map(|mount| mount.join(inside))
    }

    /// Under version 1, what each hierarchy is called and the group's directory in it. One of several controllers has
    /// the name of each as well.
    pub(crate) fn named_v1(&self, group: &Path) -> Vec<(String, PathBuf)> {
        if self.is_v2() {
            return Vec::new();
        }
        let mut all = Vec::new();
        // Hierarchies that only have a name hold no group of the container.
        let controls = |mount: &Path| self.v1.iter().any(|(key, at)| at == mount && !key.starts_with("name="));
        let all_v1 = self.mounts.iter().zip(self.directories(group)).filter(|(mount, _)| controls(mount));
        for (mount, directory) in all_v1 {
            let Some(name) = mount.file_name().and_then(|n| n.to_str()) else { continue };
            all.push((name.to_owned(), directory.clone()));
            let parts = name.split(',').filter(|part| *part != name);
            all.extend(parts.map(|part| (part.to_owned(), directory.clone())));
        }
        all
    }

    /// Whether containers can be limited by this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.v1.contains_key(controller) || self.controllers.iter().any(|known| known == controller)
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.v2.is_some()
    }
}

/// Makes a group everywhere: with version 1 cpusets, which it leaves empty, filled from the parent, with version 2 all
/// controllers on.
pub(crate) fn make(hierarchies: &Hierarchies, group: &Path) -> io::Result<()> {
    for directory in hierarchies.directories(group) {
        fs::create_dir_all(&directory)?;
    }
    if let Some(mount) = &hierarchies.v2 {
        return enable(mount, group, &hierarchies.controllers);
    }
    let Some(mount) = hierarchies.v1.get("cpuset") else { return Ok(()) };
    let mut at = mount.clone();
    for component in group.strip_prefix("/").unwrap_or(group).components() {
        let above = at.clone();
        at.push(component);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(at.join(file))?.trim().is_empty() {
                fs::write(at.join(file), fs::read_to_string(above.join(file))?.trim())?;
            }
        }
    }
    Ok(())
}

/// Hands the controllers of version 2 down to the group. One that cannot be handed down, as where processes are in the
/// way, is missed when a limit needs it.
fn enable(mount: &Path, group: &Path, controllers: &[String]) -> io::Result<()> {
    let mut at = mount.to_owned();
    for component in group.strip_prefix("/").unwrap_or(group).components() {
        let file = at.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&file)?;
        for controller in controllers.iter().filter(|name| !enabled.split_whitespace().any(|on| on == *name)) {
            if let Err(error) = fs::write(&file, format!("+{controller}")) {
                tracing::debug!(controller, group = %at.display(), %error, "cannot hand down a cgroup controller");
            }
        }
        at.push(component);
    }
    Ok(())
}

/// Kills every process in the group's directories, again and again until none is left or the rounds are used up.
pub(crate) fn kill_all(directories: &[PathBuf]) {
    for directory in directories {
        // One write where the kernel offers it.
        if directory.join("cgroup.kill").exists() && fs::write(directory.join("cgroup.kill"), "1").is_ok() {
            continue;
        }
        let own = std::process::id() as i32;
        for _ in 0..KILL_ROUNDS {
            let Ok(text) = fs::read_to_string(directory.join("cgroup.procs")) else { break };
            let pids: Vec<i32> =
                text.lines().filter_map(|l| l.parse().ok()).filter(|pid| *pid > 0 && *pid != own).collect();
            if pids.iter().all(|pid| is_dead(*pid)) {
                break;
            }
            for pid in pids {
                // SAFETY: plain numbers. A process that just ended is as good as killed.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }
}

fn is_dead(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// How many processes of the group the kernel killed for want of memory. The counter is the group's own.
pub(crate) fn oom_kills(directories: &[PathBuf]) -> u64 {
    for directory in directories {
        for file in ["memory.oom_control", "memory.events"] {
            if let Ok(text) = fs::read_to_string(directory.join(file)) {
                return value(&text, "oom_kill").unwrap_or(0);
            }
        }
    }
    0
}

/// A value of a file of `key value` lines.
pub(crate) fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Removes a group everywhere, children first; waits a little for processes that are being reaped.
pub(crate) fn remove(directories: &[PathBuf]) -> io::Result<()> {
    directories.iter().try_for_each(|directory| remove_tree(directory))
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for _ in 0..REMOVE_TRIES {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
        for entry in fs::read_dir(directory)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path())?;
            }
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

/// Reads one number; "max" is none.
pub(crate) fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn mounts_tell_the_version() {
        let v1 = "30 2 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  31 2 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  32 2 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                  33 2 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchies::parse(v1);
        assert!(!found.is_v2());
        assert_eq!(found.directory("cpuacct", Path::new("/a")).unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/a"));
        assert_eq!(found.mounts.len(), 4);
        let named = found.named_v1(Path::new("/a"));
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["cpu,cpuacct", "cpu", "cpuacct", "memory"]);
        assert_eq!(named[1].1, Path::new("/sys/fs/cgroup/cpu,cpuacct/a"));
        let v2 = Hierarchies::parse("33 2 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        assert_eq!(v2.directory("memory", Path::new("/k/p")).unwrap(), Path::new("/sys/fs/cgroup/k/p"));
    }

    #[test]
    fn values_are_found_by_their_whole_key() {
        assert_eq!(value("oom 4\noom_kill 2\noom_kill_disable 0\n", "oom_kill"), Some(2));
    }
}
