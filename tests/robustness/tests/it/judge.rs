//! Histories of ever new seeds, judged until the time is over.

use std::time::Duration;

use robustness::Verdict;
use tokio::time::Instant;

/// How long each scenario runs, with ever new seeds.
const LONG_ENOUGH: Duration = Duration::from_secs(25);
pub(crate) const SEED: &str = "ROBUSTNESS_SEED";

fn seeds() -> Box<dyn Iterator<Item = u64>> {
    match std::env::var(SEED) {
        Ok(seed) => Box::new(std::iter::once(seed.parse().unwrap())),
        Err(_) => Box::new((u64::from(std::process::id()) << 20)..),
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Judges histories of ever new seeds until the time is over.
pub(crate) fn judge(name: &str, history: impl Fn(u64) -> robustness::history::Inner) {
    judge_for(LONG_ENOUGH, name, history);
}

/// The same for so long; the last one is always judged to its end.
pub(crate) fn judge_for(long_enough: Duration, name: &str, history: impl Fn(u64) -> robustness::history::Inner) {
    let (begun, mut total) = (Instant::now(), Verdict::default());
    for seed in seeds().take_while(|_| begun.elapsed() < long_enough) {
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
