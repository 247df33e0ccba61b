//! `robustness run`: for as long as you like. `robustness host` is the process that it kills.

use std::time::Duration;

use clap::Parser;
use robustness::{Verdict, host, scenario};
use tokio::time::Instant;

#[derive(Parser)]
enum Command {
    /// Runs all scenarios with ever new seeds, and stops at the first that fails
    Run {
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// The first seed; the next ones follow
        #[arg(long)]
        seed: Option<u64>,
        /// Two stores on an etcd of three members, instead of local stores; needs root, and etcd
        #[arg(long)]
        etcd: bool,
    },
    /// Puts back the bugs of a store on etcd, and fails unless each is found
    EtcdBugs,
    /// A store behind a socket
    #[command(hide = true)]
    Host(host::Options),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Host(options) => host::run(options).await,
        Command::EtcdBugs => {
            let found = tokio::task::spawn_blocking(robustness::etcd_bugs::find_all).await?;
            found.map_err(|missed| anyhow::anyhow!("not found: {missed:?}"))
        }
        Command::Run { minutes, seed, etcd } => run(Duration::from_secs(minutes * 60), seed, etcd).await,
    }
}

async fn run(duration: Duration, seed: Option<u64>, etcd: bool) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let first = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20);
    /// How often it is said how far it has come.
    const TELL_EVERY: Duration = Duration::from_secs(60);
    let (begun, mut total) = (Instant::now(), Verdict::default());
    let mut told = begun;
    println!("first seed {first}");
    for seed in first.. {
        if begun.elapsed() >= duration {
            break;
        }
        let verdict = match seed % 4 {
            _ if etcd => {
                use scenario::etcd::{Theme, run};
                let history = tokio::task::spawn_blocking(move || run(seed, 2, 4, Theme::Anything)).await?;
                Verdict::of(&history)
            }
            0 => Verdict::of(&scenario::kill::run(&program, seed, 12).await.0),
            _ => Verdict::of(&scenario::memory::run(seed, 12).await),
        };
        anyhow::ensure!(verdict.violations.is_empty(), "seed {seed}: {verdict}");
        total.calls += verdict.calls;
        total.events += verdict.events;
        total.watches += verdict.watches;
        total.restarts += verdict.restarts;
        total.undecided += verdict.undecided;
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            println!("{} minutes: {total}", begun.elapsed().as_secs() / 60);
        }
    }
    println!("{total}");
    Ok(())
}
