//! Drives the store alone, and prints one line of JSON per measurement.
//!
//! See the crate's README for the command and what is measured.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::json;
use store::{Durability, Op, Store, StoreConfig, Write};
use tokio::time::Instant;

/// Measures the store in a new folder.
#[derive(Parser)]
struct Options {
    /// A folder that does not exist yet, on the disk to measure.
    #[arg(long)]
    dir: PathBuf,
    /// The size of each value.
    #[arg(long, default_value_t = 4096)]
    value_bytes: usize,
    /// How long each measurement of writes and reads takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Keys to read from and to measure memory with.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Watches of one key in the measurement of fan-out.
    #[arg(long, default_value_t = 1000)]
    watches: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(!options.dir.exists(), "{} exists already", options.dir.display());
    syncs(&options)?;
    let before = resident_bytes()?;
    let config = StoreConfig::new(options.dir.join("store"));
    let store = Store::open(config.clone())?;
    for clients in [1, 100] {
        puts(&store, &options, clients, Durability::Durable).await?;
    }
    puts(&store, &options, 100, Durability::Relaxed).await?;
    fill(&store, &options, before).await?;
    reads(&store, &options)?;
    fan_out(&store, &options).await?;
    store.close().await;
    drop(store);
    let start = Instant::now();
    let store = Store::open(config)?;
    report("open", json!({ "seconds": start.elapsed().as_secs_f64(), "keys": store.health().keys }));
    Ok(())
}

fn report(what: &str, mut numbers: serde_json::Value) {
    numbers["what"] = what.into();
    println!("{numbers}");
}

/// The floor of every durable write: appending as much to a file and syncing it.
fn syncs(options: &Options) -> anyhow::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(&options.dir)?;
    let path = options.dir.join("syncs");
    let mut file = std::fs::File::create(&path)?;
    let bytes = vec![b'v'; options.value_bytes];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.seconds) {
        let begun = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(path)?;
    report("append and fdatasync, no store", rates(times, start.elapsed()));
    Ok(())
}

async fn puts(store: &Store, options: &Options, clients: usize, durability: Durability) -> anyhow::Result<()> {
    let start = Instant::now();
    let until = start + Duration::from_secs(options.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (store, value) = (store.clone(), vec![b'v'; options.value_bytes]);
        tasks.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let key = format!("/put/{client}/{}", times.len() % 100);
                let begun = Instant::now();
                let ops = vec![Op::Put { key: key.as_bytes().into(), value: value.clone().into() }];
                store.commit(Write { ops, durability }).await?;
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    let mut numbers = rates(times, start.elapsed());
    numbers["clients"] = clients.into();
    numbers["durability"] = format!("{durability:?}").into();
    report("puts", numbers);
    Ok(())
}

fn rates(mut times: Vec<Duration>, elapsed: Duration) -> serde_json::Value {
    times.sort();
    let micros = |share: f64| {
        let index = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(index).map(|time| time.as_micros() as u64)
    };
    json!({
        "per_second": (times.len() as f64 / elapsed.as_secs_f64()) as u64,
        "p50_us": micros(0.5), "p99_us": micros(0.99), "max_us": micros(1.0),
    })
}

async fn fill(store: &Store, options: &Options, resident_before: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    for first in (0..options.keys).step_by(100) {
        let put = |number: usize| Op::Put {
            key: format!("/fill/{number:08}").as_bytes().into(),
            value: vec![b'v'; options.value_bytes].into(),
        };
        let ops = (first..(first + 100).min(options.keys)).map(put).collect();
        store.commit(Write::transaction(ops)).await?;
    }
    let health = store.health();
    report(
        "fill",
        json!({
            "seconds": start.elapsed().as_secs_f64(),
            "live_bytes": health.live_bytes,
            "resident_bytes": resident_bytes()?.saturating_sub(resident_before),
            "resident_per_live": resident_bytes()?.saturating_sub(resident_before) as f64 / health.live_bytes as f64,
            "disk_per_live": health.disk_bytes as f64 / health.live_bytes as f64,
        }),
    );
    Ok(())
}

fn reads(store: &Store, options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < Duration::from_secs(options.seconds) {
        for _ in 0..1000 {
            count += 1;
            let number = count.wrapping_mul(2_654_435_761) % options.keys as u64;
            let key = format!("/fill/{number:08}");
            ensure!(store.snapshot().get(key.as_bytes()).is_some(), "{key} is not there");
        }
    }
    let per_second = (count as f64 / start.elapsed().as_secs_f64()) as u64;
    report("snapshot and get, one thread", json!({ "per_second": per_second }));
    let start = Instant::now();
    let page = store.snapshot().range(b"/fill/", None, 10_000);
    let micros = start.elapsed().as_micros() as u64;
    report("range", json!({ "items": page.items.len(), "us": micros }));
    Ok(())
}

async fn fan_out(store: &Store, options: &Options) -> anyhow::Result<()> {
    let seen = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..options.watches {
        let mut watch = store.watch(b"/fan", store.revision()).context("watching now")?;
        let (seen, stop) = (seen.clone(), stop.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                seen.fetch_add(watch.next().await?.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let start = Instant::now();
    let until = start + Duration::from_secs(options.seconds);
    let mut writes = 0u64;
    while Instant::now() < until {
        // A few hundred events at a time, and no more before all have seen them.
        for _ in 0..200 {
            store.commit(Write::put(&b"/fan"[..], "v").relaxed()).await?;
            writes += 1;
        }
        while seen.load(Ordering::Relaxed) < writes * options.watches as u64 {
            tokio::task::yield_now().await;
        }
    }
    let per_second = (seen.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()) as u64;
    stop.store(true, Ordering::Relaxed);
    store.commit(Write::put(&b"/fan"[..], "end").relaxed()).await?;
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    report("fan-out", json!({ "watches": options.watches, "events_per_second": per_second }));
    Ok(())
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
