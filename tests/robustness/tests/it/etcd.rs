//! Two stores on an etcd whose members come and go.

use std::time::Duration;

use robustness::scenario::etcd::{Theme, run};

use crate::judge::judge_for;

/// One history has many faults.
const LONG_ENOUGH: Duration = Duration::from_secs(5);
const LIVES: u64 = 2;
const FAULTS: u64 = 3;

#[test]
fn faults_of_etcd() {
    judge_for(LONG_ENOUGH, "etcd", |seed| run(seed, LIVES, FAULTS, Theme::Anything));
}
