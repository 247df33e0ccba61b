//! Times, rates, and what the process has taken.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};

pub(crate) fn report(what: &str, mut numbers: Value) {
    numbers["what"] = what.into();
    println!("{numbers}");
}

/// How long each of many calls took, and all of them together.
pub(crate) struct Times {
    sorted: Vec<Duration>,
    elapsed: Duration,
}

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>, elapsed: Duration) -> Times {
        times.sort();
        Times { sorted: times, elapsed }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.sorted.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// In microseconds, the time within which this share of the calls was done.
    pub(crate) fn micros(&self, share: f64) -> u64 {
        let index = (self.sorted.len().saturating_sub(1) as f64 * share) as usize;
        self.sorted.get(index).map_or(0, |time| time.as_micros() as u64)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "per_second": self.per_second() as u64,
            "p50_us": self.micros(0.5), "p99_us": self.micros(0.99), "p999_us": self.micros(0.999),
            "max_us": self.micros(1.0),
        })
    }
}

pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// Bytes this process has caused to be written to disks.
pub(crate) fn written_bytes() -> anyhow::Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

/// Processor time of this thread.
pub(crate) fn thread_time() -> anyhow::Result<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// Processor time of this process, all threads.
pub(crate) fn processor_time() -> anyhow::Result<Duration> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// Processor time of the threads of stores: what is not spent on making up load.
pub(crate) fn store_time() -> anyhow::Result<Duration> {
    let mut time = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread may end meanwhile.
        let Ok(name) = std::fs::read_to_string(task.join("comm")) else { continue };
        if name.starts_with("store") && name.trim() != "store-bench" {
            let spent = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let nanoseconds = spent.split(' ').next().and_then(|first| first.parse().ok());
            time += Duration::from_nanos(nanoseconds.unwrap_or_default());
        }
    }
    Ok(time)
}

/// What does not get shorter by packing, so that a checkpoint has all of it to write.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    let words = (0..bytes as u64 / 8).flat_map(|word| {
        (seed, word).hash(&mut hasher);
        hasher.finish().to_le_bytes()
    });
    words.collect()
}
