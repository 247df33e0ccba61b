//! Bugs that a store on etcd may have, put back one by one: each is found, and by the check that is there for it.
//!
//! They are settings of the whole process, so all of it is one test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use robustness::{
    Verdict,
    scenario::etcd::{Theme, run},
    verdict::Rule::{self, *},
};
use store::failpoints::{Bug, put_back};

/// Histories tried for each bug.
const TRIES: u64 = 12;
const LIVES: u64 = 1;
const FAULTS: u64 = 4;

/// Which faults bring a bug to light, and which checks are to find it.
const EXPECTED: [(Bug, Theme, &[Rule]); 4] = [
    (Bug::NotCurrent, Theme::Kills, &[Linearizable, Revisions]),
    (Bug::SkippedOnReconnect, Theme::Kills, &[Durable, Reliable, Reads]),
    (Bug::SilentRestart, Theme::Compaction, &[Durable, Reliable, Reads]),
    (Bug::RetriedWrite, Theme::LostAnswers, &[Linearizable, Durable]),
];

#[test]
fn every_bug_is_found() {
    assert_eq!(EXPECTED.map(|(bug, ..)| bug), Bug::ETCD);
    let mut missed = Vec::new();
    for (bug, theme, rules) in EXPECTED {
        put_back(bug, true);
        let found = (0..TRIES).find_map(|seed| {
            let verdict = Verdict::of(&run(seed, LIVES, FAULTS, theme));
            let found = verdict.violations.iter().find(|violation| rules.contains(&violation.rule))?;
            Some((seed, format!("{:?}: {}", found.rule, found.text)))
        });
        put_back(bug, false);
        match found {
            Some((seed, by)) => println!("{bug:?}: seed {seed}: {}", by.chars().take(200).collect::<String>()),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let clean = Verdict::of(&run(0, LIVES, FAULTS, Theme::Compaction));
    assert!(clean.violations.is_empty(), "without a bug: {clean}");
}
