//! What the machine has, and what of it pods get.

use std::{io, path::Path};

use api::resources::Amounts;
use apimachinery::{Format, Quantity};

use crate::eviction::{Signal, Threshold};

/// Reads cpus, memory, disk and huge pages. `root` tells which disk counts.
pub(crate) fn capacity(root: &Path, max_pods: u32) -> io::Result<Amounts> {
    let bytes = |units: i64| Quantity::from_units(units, Format::BinarySi);
    let cpus = std::thread::available_parallelism()?.get() as i64;
    let disk = nix::sys::statvfs::statvfs(root)?;
    let disk = disk.blocks() as i64 * disk.fragment_size() as i64;
    let mut all = Amounts::from([
        ("cpu".to_owned(), Quantity::from_units(cpus, Format::DecimalSi)),
        ("memory".to_owned(), bytes(memory_bytes()?)),
        ("ephemeral-storage".to_owned(), bytes(disk)),
        ("pods".to_owned(), Quantity::from_units(i64::from(max_pods), Format::DecimalSi)),
    ]);
    for entry in std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(kib) =
            name.to_str().and_then(|n| n.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<i64>().ok())
        else {
            continue;
        };
        let count =
            std::fs::read_to_string(entry.path().join("nr_hugepages"))?.trim().parse::<i64>().unwrap_or_default();
        all.insert(format!("hugepages-{}", bytes(kib << 10)), bytes((kib << 10) * count));
    }
    Ok(all)
}

fn memory_bytes() -> io::Result<i64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no MemTotal in /proc/meminfo"))
}

/// Capacity less what is reserved and what is kept free by eviction. No huge pages: this kubelet does not limit them,
/// so it gives none away.
pub(crate) fn allocatable(capacity: &Amounts, reserved: &Amounts, kept_free: &[Threshold]) -> Amounts {
    let mut left = capacity.clone();
    let mut take = |name: &str, amount: Quantity| {
        if let Some(have) = left.get_mut(name) {
            *have = have.minus(amount).max(Quantity::from_units(0, have.format()));
        }
    };
    for (signal, name) in [(Signal::MemoryAvailable, "memory"), (Signal::NodefsAvailable, "ephemeral-storage")] {
        let whole = capacity.get(name).map(|q| q.units()).unwrap_or_default();
        if let Some(threshold) = kept_free.iter().find(|t| t.signal == signal) {
            take(name, threshold.quantity(whole));
        }
    }
    reserved.iter().for_each(|(name, amount)| take(name, *amount));
    for (_, amount) in left.iter_mut().filter(|(name, _)| name.starts_with("hugepages-")) {
        *amount = Quantity::from_units(0, amount.format());
    }
    left
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn this_machine_has_something_to_give() {
        let all = capacity(Path::new("/"), 110).unwrap();
        assert!(all["cpu"].units() >= 1 && all["memory"].units() > 100 << 20);
        assert_eq!(all["pods"].to_string(), "110");
        let reserved = Amounts::from([("cpu".to_owned(), "100m".parse().unwrap())]);
        let left = allocatable(&all, &reserved, &Threshold::defaults());
        assert_eq!(left["cpu"].milli(), all["cpu"].milli() - 100);
        assert_eq!(left["memory"].units(), all["memory"].units() - (100 << 20));
        assert!(all["memory"].to_string().ends_with("Ki"), "as upstream prints it: {}", all["memory"]);
    }
}
