//! Drives the store alone, and etcd beside it, and prints one line of JSON per measurement.
//!
//! See the crate's README for the command and what is measured.

mod etcd;
mod leases;
mod many;
mod measure;
mod pauses;
mod puts;
mod watching;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, ValueEnum};

/// Measures the store in a new folder.
#[derive(Parser)]
struct Options {
    /// A folder that does not exist yet, on the disk to measure.
    #[arg(long)]
    dir: PathBuf,
    /// What to measure; all of it, if nothing is named.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// The size of each value of the puts.
    #[arg(long, default_value_t = 4096)]
    value_bytes: usize,
    /// How long each round of a measurement takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often the puts are measured, one store after the other; medians are reported too.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keys of one KiB to read from and to measure memory with.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Watches of one key in the measurement of fan-out.
    #[arg(long, default_value_t = 10_000)]
    watches: usize,
    /// The etcd to compare with; it is left out if there is none.
    #[arg(long, default_value = "/usr/bin/etcd")]
    etcd: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Durable puts, beside etcd and beside the bare disk.
    Puts,
    /// How long commits take while checkpoints are written, and without.
    Pauses,
    /// Many keys: memory, disk, reads, opening.
    Many,
    /// Renewals of node leases, and no write at all.
    Leases,
    /// Events of one key to many watches.
    FanOut,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(!options.dir.exists(), "{} exists already", options.dir.display());
    std::fs::create_dir_all(&options.dir)?;
    let wants = |part| options.only.is_empty() || options.only.contains(&part);
    // Before anything else has grown the process.
    if wants(Part::Many) {
        many::measure(&options).await?;
    }
    if wants(Part::Puts) {
        puts::measure(&options).await?;
    }
    if wants(Part::Pauses) {
        pauses::measure(&options).await?;
    }
    if wants(Part::Leases) {
        leases::measure(&options).await?;
    }
    if wants(Part::FanOut) {
        watching::measure(&options).await?;
    }
    Ok(())
}
