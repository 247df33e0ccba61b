//! How much of what can run out is left, as the kernel says.

use std::{io, path::Path};

use apimachinery::{Format, Quantity};

use super::threshold::{Signal, Threshold};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) signal: Signal,
    pub(crate) available: i64,
    pub(crate) capacity: i64,
}

impl Observation {
    /// As messages write it.
    pub(crate) fn quantity(&self) -> Quantity {
        let format = match self.signal.resource() {
            "memory" | "ephemeral-storage" => Format::BinarySi,
            _ => Format::DecimalSi,
        };
        Quantity::from_units(self.available, format)
    }
}

/// Looks at what the thresholds are about. What cannot be read is not observed, and told.
pub(crate) fn observe(thresholds: &[Threshold], nodefs: &Path, imagefs: &Path) -> Vec<Observation> {
    let mut all = Vec::new();
    for Threshold { signal, .. } in thresholds {
        let read = match signal {
            Signal::MemoryAvailable => memory(),
            Signal::NodefsAvailable => space(nodefs),
            Signal::NodefsInodesFree => inodes(nodefs),
            Signal::ImagefsAvailable => space(imagefs),
            Signal::ImagefsInodesFree => inodes(imagefs),
            Signal::PidAvailable => pids(),
        };
        match read {
            // A file system that makes inodes as it needs them counts none.
            Ok((_, 0)) => {}
            Ok((available, capacity)) => all.push(Observation { signal: *signal, available, capacity }),
            Err(error) => tracing::warn!(?signal, %error, "what the node has left cannot be read"),
        }
    }
    all
}

/// The thresholds below which there is less left.
pub(crate) fn met(thresholds: &[Threshold], observed: &[Observation]) -> Vec<(Threshold, Observation)> {
    let crossed = |t: &Threshold| {
        let found = observed.iter().find(|o| o.signal == t.signal)?;
        (t.quantity(found.capacity).units() > found.available).then_some((*t, *found))
    };
    thresholds.iter().filter_map(crossed).collect()
}

/// Space for ordinary users, and all of it.
pub(crate) fn space(path: &Path) -> io::Result<(i64, i64)> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| i64::try_from(blocks * disk.fragment_size()).unwrap_or(i64::MAX);
    Ok((bytes(disk.blocks_available()), bytes(disk.blocks())))
}

fn inodes(path: &Path) -> io::Result<(i64, i64)> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    let count = |files: u64| i64::try_from(files).unwrap_or(i64::MAX);
    Ok((count(disk.files_free()), count(disk.files())))
}

/// What is not in use, or could be given back at once: as upstream, the capacity less the machine's working set.
fn memory() -> io::Result<(i64, i64)> {
    available_memory(&std::fs::read_to_string("/proc/meminfo")?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no MemTotal, MemFree or Inactive(file)"))
}

fn available_memory(meminfo: &str) -> Option<(i64, i64)> {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? << 10)
    };
    let total = of("MemTotal")?;
    Some(((of("MemFree")? + of("Inactive(file)")?).min(total), total))
}

fn pids() -> io::Result<(i64, i64)> {
    let number = |path: &str| {
        let text = std::fs::read_to_string(path)?;
        text.trim().parse::<i64>().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    };
    let limit = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    // The fourth field of loadavg is "running/all".
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let used = load.split(' ').nth(3).and_then(|f| f.split('/').nth(1)?.parse::<i64>().ok());
    let used = used.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no count of processes in loadavg"))?;
    Ok((limit - used, limit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn thresholds_are_met_below_them() {
        let thresholds = Threshold::parse_list("memory.available<100,nodefs.available<10%,pid.available<5").unwrap();
        let observed = |signal, available, capacity| Observation { signal, available, capacity };
        let seen = [observed(Signal::MemoryAvailable, 100, 1000), observed(Signal::NodefsAvailable, 99, 1000)];
        let found: Vec<Signal> = met(&thresholds, &seen).iter().map(|(t, _)| t.signal).collect();
        assert_eq!(found, [Signal::NodefsAvailable]);
    }

    #[test]
    fn this_machine_can_be_read() {
        let meminfo = "MemTotal: 100 kB\nMemFree: 10 kB\nInactive: 9 kB\nInactive(file): 5 kB\n";
        assert_eq!(available_memory(meminfo), Some((15 << 10, 100 << 10)));
        let all = Threshold::parse_list("pid.available<1").unwrap().into_iter().chain(Threshold::defaults());
        let all: Vec<Threshold> = all.collect();
        let seen = observe(&all, Path::new("/"), Path::new("/"));
        assert_eq!(seen.len(), all.len());
        assert!(seen.iter().all(|o| o.available > 0 && o.available <= o.capacity), "{seen:?}");
    }
}
