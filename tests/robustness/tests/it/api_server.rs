//! `knarr apiserver` under load, killed again and again.

use robustness::scenario;

use crate::judge::{judge, runtime};

const LIVES: u64 = 20;

/// Every acknowledged write is there after every kill, revisions never go back, and watches resume without a gap.
#[test]
fn kills_of_the_api_server() {
    let runtime = runtime();
    judge("apiserver", |seed| runtime.block_on(scenario::api_server::run(testkit::knarr(), seed, LIVES)));
}
