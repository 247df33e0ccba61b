//! Two stores on an etcd whose members come and go.

use robustness::scenario::etcd::{Theme, run};

use crate::judge::judge;

const LIVES: u64 = 2;
const FAULTS: u64 = 3;

#[test]
fn faults_of_etcd() {
    judge("etcd", |seed| run(seed, LIVES, FAULTS, Theme::Anything));
}
