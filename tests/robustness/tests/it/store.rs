//! The local store under power cuts, failing disks and kills.

use std::path::Path;

use robustness::scenario;
use store::failpoints::PLACES;

use crate::judge::{SEED, judge, runtime};

const LIVES: u64 = 10;
/// After so many deaths there was one at every failpoint; a machine that is too busy for them has not tried all.
const ENOUGH: usize = 300;

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
    let all = deaths.at_random + deaths.at_places.values().sum::<usize>();
    if std::env::var_os(SEED).is_none() && all >= ENOUGH {
        let never: Vec<_> = PLACES.iter().filter(|place| !deaths.at_places.contains_key(*place)).collect();
        assert!(never.is_empty(), "nobody died at {never:?}");
    }
}
