//! What containers use, and new limits for running ones: files of their cgroups.

use std::{fs, path::Path, sync::Arc};

use cri::v1;
use netlink::Namespace;

use crate::{
    cgroup::{Hierarchies, number, value},
    container::Container,
    protocol::now,
    runtime::Runtime,
    sandbox::Sandbox,
};

fn some(value: u64) -> Option<v1::UInt64Value> {
    Some(v1::UInt64Value { value })
}

fn cpu(hierarchies: &Hierarchies, group: &Path) -> Option<v1::CpuUsage> {
    let nanoseconds = if hierarchies.is_v2() {
        let text = fs::read_to_string(hierarchies.directory("cpu", group)?.join("cpu.stat")).ok()?;
        value(&text, "usage_usec")? * 1000
    } else {
        number(&hierarchies.directory("cpuacct", group)?.join("cpuacct.usage"))?
    };
    Some(v1::CpuUsage { timestamp: now(), usage_core_nano_seconds: some(nanoseconds), usage_nano_cores: None })
}

fn memory(hierarchies: &Hierarchies, group: &Path) -> Option<v1::MemoryUsage> {
    let directory = hierarchies.directory("memory", group)?;
    let text = fs::read_to_string(directory.join("memory.stat")).ok()?;
    let of = |v1_key: &str, v2_key: &str| value(&text, if hierarchies.is_v2() { v2_key } else { v1_key }).unwrap_or(0);
    let (usage, limit) = if hierarchies.is_v2() {
        (number(&directory.join("memory.current"))?, number(&directory.join("memory.max")))
    } else {
        let limit = number(&directory.join("memory.limit_in_bytes"));
        // Version 1 writes "no limit" as a number near the largest.
        (number(&directory.join("memory.usage_in_bytes"))?, limit.filter(|l| *l < i64::MAX as u64 / 2))
    };
    let working_set = usage.saturating_sub(of("total_inactive_file", "inactive_file"));
    Some(v1::MemoryUsage {
        timestamp: now(),
        working_set_bytes: some(working_set),
        available_bytes: limit.and_then(|limit| some(limit.saturating_sub(working_set))),
        usage_bytes: some(usage),
        rss_bytes: some(of("total_rss", "anon")),
        page_faults: some(of("total_pgfault", "pgfault")),
        major_page_faults: some(of("total_pgmajfault", "pgmajfault")),
    })
}

impl Runtime {
    pub(crate) fn stats_of(&self, container: &Arc<Container>) -> v1::ContainerStats {
        let record = &container.record;
        v1::ContainerStats {
            attributes: Some(v1::ContainerAttributes {
                id: record.id.clone(),
                metadata: record.config.metadata.clone(),
                labels: record.config.labels.clone(),
                annotations: record.config.annotations.clone(),
            }),
            cpu: cpu(&self.inner.hierarchies, &record.cgroup),
            memory: memory(&self.inner.hierarchies, &record.cgroup),
            ..v1::ContainerStats::default()
        }
    }

    /// Of the pod: what its group and all groups below it use, and its interface.
    pub(crate) fn sandbox_stats(&self, sandbox: &Arc<Sandbox>) -> v1::PodSandboxStats {
        let record = &sandbox.record;
        let own = self.cgroup(&record.config, &record.id);
        let pod = own.parent().unwrap_or(&own).to_owned();
        let containers = self.containers_of(&record.id);
        let linux = v1::LinuxPodSandboxStats {
            cpu: cpu(&self.inner.hierarchies, &pod),
            memory: memory(&self.inner.hierarchies, &pod),
            network: network(sandbox),
            process: cgroup_processes(&self.inner.hierarchies, &pod),
            containers: containers.iter().filter(|c| c.is_running()).map(|c| self.stats_of(c)).collect(),
        };
        v1::PodSandboxStats {
            attributes: Some(v1::PodSandboxAttributes {
                id: record.id.clone(),
                metadata: record.config.metadata.clone(),
                labels: record.config.labels.clone(),
                annotations: record.config.annotations.clone(),
            }),
            linux: Some(linux),
            windows: None,
        }
    }
}

fn cgroup_processes(hierarchies: &Hierarchies, group: &Path) -> Option<v1::ProcessUsage> {
    let count = number(&hierarchies.directory("pids", group)?.join("pids.current"))?;
    Some(v1::ProcessUsage { timestamp: now(), process_count: some(count) })
}

fn network(sandbox: &Sandbox) -> Option<v1::NetworkUsage> {
    let shim = sandbox.shim()?;
    Namespace::of_process(shim.pid()).ok()?;
    let text = fs::read_to_string(format!("/proc/{}/net/dev", shim.pid())).ok()?;
    let interfaces: Vec<v1::NetworkInterfaceUsage> = text.lines().filter_map(interface).collect();
    let default = interfaces.iter().find(|i| i.name == "eth0").cloned();
    Some(v1::NetworkUsage { timestamp: now(), default_interface: default, interfaces })
}

/// A line of `/proc/net/dev`: received bytes and errors, then eight columns later the sent ones.
fn interface(line: &str) -> Option<v1::NetworkInterfaceUsage> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    if name.trim() == "lo" {
        return None;
    }
    Some(v1::NetworkInterfaceUsage {
        name: name.trim().to_owned(),
        rx_bytes: some(*numbers.first()?),
        rx_errors: some(*numbers.get(2)?),
        tx_bytes: some(*numbers.get(8)?),
        tx_errors: some(*numbers.get(10)?),
    })
}
