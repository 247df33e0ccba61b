//! Drives a whole cluster of one node in namespaces of its own, and prints one line of JSON per measurement.
//!
//! See the crate's README for the command and what is measured.

#![allow(clippy::disallowed_types, reason = "it measures in real time")]

mod api;
mod deployment;
mod idle;
mod pods;
mod start;
mod usage;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use testkit::Node;

/// Measures an executable of Knarr.
#[derive(Parser)]
struct Options {
    /// The executable; without it the one beside this driver.
    #[arg(long)]
    knarr: Option<PathBuf>,
    /// How often the daemon is started on the data it has.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Pods that are created one by one.
    #[arg(long, default_value_t = 20)]
    serial: usize,
    /// Pods that are created at once.
    #[arg(long, default_value_t = 30)]
    burst: usize,
    /// How often the example is applied.
    #[arg(long, default_value_t = 5)]
    deployments: usize,
    /// How long the idle cluster settles, and then how long it is watched.
    #[arg(long, default_value_t = 300)]
    idle_seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let own = std::env::current_exe().context("find this executable")?;
    testkit::use_knarr(options.knarr.clone().unwrap_or_else(|| own.with_file_name("knarr")));

    // What stays in memory depends on what went before: the idle cluster has only ever run the example.
    let mut node = Node::start();
    deployment::measure(&node, 1)?;
    idle::measure(&node, options.idle_seconds)?;
    deployment::measure(&node, options.deployments)?;
    pods::measure(&node, options.serial, options.burst)?;
    start::measure(&mut node, options.starts)
}

/// One line of JSON.
fn report(name: &str, mut figures: serde_json::Value) {
    figures["measurement"] = name.into();
    println!("{figures}");
}

/// The value below which this part of all lies, in milliseconds.
fn quantile(times: &[std::time::Duration], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).map_or(f64::NAN, |time| (time.as_secs_f64() * 10_000.0).round() / 10.0)
}
