//! Starts pods of one container with the container runtime alone, and prints one line of JSON per measurement.
//!
//! Runs in a network and mount namespace and a cgroup of its own, and is its own shim. See the crate's README.

mod image;
mod machine;
mod pod;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Parser;
use container_runtime::{Config, Runtime};
use serde_json::json;
use tokio::time::Instant;

use machine::{Group, Usage};
use pod::{Pods, Timing};

/// Measures the start of pods. Needs root and busybox-static.
#[derive(Debug, Parser)]
struct Options {
    /// A folder that does not exist yet, on the disk to measure.
    #[arg(long)]
    dir: PathBuf,
    /// Pods started one after the other.
    #[arg(long, default_value_t = 30)]
    pods: usize,
    /// Pods started all at once.
    #[arg(long, default_value_t = 30)]
    burst: usize,
    /// Without a seccomp profile.
    #[arg(long)]
    unconfined: bool,
    /// The executable the shims run, such as a `knarr` of the same version; the driver's own by default.
    #[arg(long, default_value = "/proc/self/exe")]
    shim: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "shim") {
        return ExitCode::from(u8::try_from(container_runtime::shim::main(&arguments[2..])).unwrap_or(1));
    }
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<()> {
    ensure!(!options.dir.exists(), "{} exists already", options.dir.display());
    std::fs::create_dir_all(&options.dir)?;
    let group = Group::enter().context("cannot make a cgroup")?;
    // Before there are threads, so that all of them are inside.
    machine::isolate().context("cannot make namespaces")?;
    let root = options.dir.join("root");
    let config = Config {
        state: options.dir.join("run"),
        cgroup_root: group.pods().to_owned(),
        network: cni::Config::new(machine::POD_RANGE.parse()?, root.join("network")),
        registries: images::Registries::default(),
        shim_command: (options.shim.clone(), vec!["shim".into()]),
        root,
    };
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = tokio.block_on(pods(options, config.clone(), &group));
    let cleaned = tokio.block_on(container_runtime::teardown_all(&config, true));
    drop(tokio);
    group.remove();
    measured?;
    cleaned?;
    Ok(std::fs::remove_dir_all(&options.dir)?)
}

async fn pods(options: &Options, config: Config, group: &Group) -> anyhow::Result<()> {
    let runtime = Runtime::start(config).await?;
    runtime.images().import(&image::busybox(&options.dir)?)?;
    let pods = Pods::new(runtime, options.dir.join("logs"), options.unconfined)?;
    // The first pod finds caches cold.
    pods.start("warm".into()).await?;
    let before = group.usage()?;
    let mut timings = Vec::new();
    for n in 0..options.pods {
        timings.push(pods.start(format!("one-{n}")).await?);
    }
    report("one after the other", &timings, group.usage()? - before);
    let before = group.usage()?;
    let start = Instant::now();
    let all = (0..options.burst).map(|n| pods.start(format!("burst-{n}")));
    let timings = futures::future::try_join_all(all).await?;
    let wall = start.elapsed();
    report("all at once", &timings, group.usage()? - before);
    println!("{}", json!({"what": "all at once, until the last", "ms": milliseconds(wall)}));
    println!("{}", group.shims()?);
    let before = group.usage()?;
    let start = Instant::now();
    let count = pods.remove_all().await?;
    let each = start.elapsed() / u32::try_from(count)?;
    let usage = group.usage()? - before;
    println!(
        "{}",
        json!({"what": "remove, one after the other", "ms": milliseconds(each),
               "cpu_ms": usage.all_ms / count as f64, "daemon_cpu_ms": usage.daemon_ms / count as f64})
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn report(what: &str, timings: &[Timing], usage: Usage) {
    if timings.is_empty() {
        return;
    }
    let quantiles = |of: fn(&Timing) -> Duration| {
        let mut times: Vec<f64> = timings.iter().map(|timing| milliseconds(of(timing))).collect();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        json!({"p50": at(0.5), "p90": at(0.9), "min": times[0]})
    };
    let pods = timings.len() as f64;
    println!(
        "{}",
        json!({
            "what": what, "pods": timings.len(),
            "sandbox_ms": quantiles(|t| t.sandbox), "create_ms": quantiles(|t| t.create),
            "start_ms": quantiles(|t| t.start), "all_ms": quantiles(|t| t.sandbox + t.create + t.start),
            "cpu_ms_a_pod": usage.all_ms / pods, "daemon_cpu_ms_a_pod": usage.daemon_ms / pods,
        })
    );
}
