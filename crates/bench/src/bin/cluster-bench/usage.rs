//! What processes take, as the kernel counts it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use nix::unistd::{SysconfVar, sysconf};
use testkit::Node;

fn file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// Processor time in user and kernel mode; with that of children that ended when `reaped`.
fn processor_time(pid: u32, reaped: bool) -> Option<Duration> {
    let stat = fs::read_to_string(file(pid, "stat")).ok()?;
    // Fields count from the state, the third: the name before it may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let last = if reaped { 15 } else { 13 };
    let ticks: u64 = fields.get(11..last)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(Duration::from_millis(ticks * 1000 / per_second))
}

/// The shims of this daemon: its descendants that are no container.
pub(crate) fn shims(daemon: u32) -> Vec<u32> {
    let every = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = every.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let network = fs::read_link(file(daemon, "ns/mnt")).ok();
    pids.filter(|pid| {
        let command = fs::read(file(*pid, "cmdline")).unwrap_or_default();
        let is_shim = command.split(|byte| *byte == 0).nth(1) == Some(b"shim");
        is_shim && fs::read_link(file(*pid, "ns/mnt")).ok() == network
    })
    .collect()
}

/// Processor time of the daemon, the shims and the processes of all pods.
pub(crate) fn whole(node: &Node) -> anyhow::Result<Duration> {
    let daemon = node.pid();
    let own = processor_time(daemon, true).context("the daemon runs")?;
    let mut others = shims(daemon);
    others.extend(node.pod_pids());
    others.sort_unstable();
    others.dedup();
    Ok(own + others.into_iter().filter_map(|pid| processor_time(pid, false)).sum::<Duration>())
}

/// Of one process alone.
pub(crate) fn of(pid: u32) -> anyhow::Result<Duration> {
    processor_time(pid, true).context("the process runs")
}

/// A line of a file under /proc that counts something: kB of memory, or bytes written.
pub(crate) fn counted(pid: u32, name: &str, line: &str) -> anyhow::Result<u64> {
    let path = file(pid, name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let found = text.lines().find_map(|each| each.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
    found.with_context(|| format!("{}: no line {line}", path.display()))
}
