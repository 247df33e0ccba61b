//! The local store under power cuts, failing disks and kills.

use std::{path::Path, time::Duration};

use robustness::{Verdict, scenario};
use store::failpoints::PLACES;
use tokio::time::Instant;

/// How long each scenario runs, with ever new seeds.
const LONG_ENOUGH: Duration = Duration::from_secs(25);
const LIVES: u64 = 10;
const SEED: &str = "ROBUSTNESS_SEED";

fn seeds() -> Box<dyn Iterator<Item = u64>> {
    match std::env::var(SEED) {
        Ok(seed) => Box::new(std::iter::once(seed.parse().unwrap())),
        Err(_) => Box::new((u64::from(std::process::id()) << 20)..),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Judges histories of ever new seeds until the time is over.
fn judge(name: &str, history: impl Fn(u64) -> robustness::history::Inner) {
    let (begun, mut total) = (Instant::now(), Verdict::default());
    for seed in seeds().take_while(|_| begun.elapsed() < LONG_ENOUGH) {
        println!("{name}: seed {seed}");
        let verdict = Verdict::of(&history(seed));
        assert!(verdict.violations.is_empty(), "{name}: seed {seed}: {verdict}");
        total.calls += verdict.calls;
        total.events += verdict.events;
        total.watches += verdict.watches;
        total.restarts += verdict.restarts;
        total.undecided += verdict.undecided;
    }
    println!("{name}: {total}");
    assert!(total.restarts > 0 && total.events > 0, "nothing was tried");
}

#[test]
fn power_cuts_and_failing_disks() {
    let runtime = runtime();
    judge("memory", |seed| runtime.block_on(scenario::memory::run(seed, LIVES)));
}

#[test]
fn kills_at_random_and_at_every_failpoint() {
    let runtime = runtime();
    let program = Path::new(env!("CARGO_BIN_EXE_robustness"));
    let deaths = std::cell::RefCell::new(scenario::kill::Deaths::default());
    judge("kill", |seed| {
        let (history, died) = runtime.block_on(scenario::kill::run(program, seed, LIVES));
        let mut deaths = deaths.borrow_mut();
        deaths.at_random += died.at_random;
        died.at_places.into_iter().for_each(|(place, times)| *deaths.at_places.entry(place).or_default() += times);
        history
    });
    let deaths = deaths.into_inner();
    println!("{deaths:?}");
    if std::env::var_os(SEED).is_none() {
        let never: Vec<_> = PLACES.iter().filter(|place| !deaths.at_places.contains_key(*place)).collect();
        assert!(never.is_empty(), "nobody died at {never:?}");
    }
}
