//! Bugs that stores have had, put back one by one: each is found, and by the check that is there for it.
//!
//! They are settings of the whole process, so all of it is one test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use robustness::{
    Verdict, scenario,
    verdict::Rule::{self, *},
};
use store::failpoints::{Bug, put_back};

/// Histories tried for each bug.
const TRIES: u64 = 500;
const LIVES: u64 = 8;

/// Which checks are to find which bug.
const EXPECTED: [(Bug, &[Rule]); 13] = [
    (Bug::AcknowledgedBeforeSync, &[Durable, Linearizable]),
    (Bug::WatchGoesBack, &[Resumable]),
    (Bug::DuplicateEvent, &[Unique]),
    (Bug::MissedEventAtCompaction, &[Reliable]),
    (Bug::RevisionDecreasing, &[Revisions, Unique]),
    (Bug::StaleRead, &[Linearizable, Revisions]),
    (Bug::SplitTransaction, &[Atomic]),
    (Bug::BookmarkAhead, &[Bookmark]),
    (Bug::LostUpdate, &[Linearizable]),
    (Bug::TornTailKept, &[Opens, Durable, Reads]),
    (Bug::DirtyRead, &[Durable, Linearizable]),
    (Bug::NoRoomMade, &[Bounded]),
    (Bug::WrongBase, &[Opens, Durable, Reads]),
];

#[test]
fn every_bug_is_found() {
    assert_eq!(EXPECTED.map(|(bug, _)| bug), Bug::ALL);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let judged = |seed| Verdict::of(&runtime.block_on(scenario::memory::run(seed, LIVES)));
    let mut missed = Vec::new();
    for (bug, rules) in EXPECTED {
        put_back(bug, true);
        let found = (0..TRIES).find_map(|seed| {
            let verdict = judged(seed);
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
    let clean = judged(0);
    assert!(clean.violations.is_empty(), "without a bug: {clean}");
}
