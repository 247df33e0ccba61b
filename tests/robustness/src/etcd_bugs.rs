//! Bugs that a store on etcd may have, put back one by one: each is found, and by the check that is there for it.
//!
//! They are settings of the whole process, and chance says how soon one is found.

use store::failpoints::{Bug, put_back};

use crate::{
    Verdict,
    scenario::etcd::{Theme, run},
    verdict::Rule::{self, *},
};

/// Histories tried for each bug.
const TRIES: u64 = 20;
const LIVES: u64 = 1;
const FAULTS: u64 = 4;

/// Which faults bring a bug to light, and which checks are to find it.
const EXPECTED: [(Bug, Theme, &[Rule]); Bug::ETCD.len()] = [
    (Bug::NotCurrent, Theme::Kills, &[Linearizable, Revisions]),
    (Bug::SkippedOnReconnect, Theme::Kills, &[Durable, Reliable, Reads]),
    (Bug::SilentRestart, Theme::Compaction, &[Durable, Reliable, Reads]),
    (Bug::RetriedWrite, Theme::LostAnswers, &[Linearizable, Durable]),
];

/// Says how each was found; those that were not are the error.
pub fn find_all() -> Result<(), Vec<Bug>> {
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
    if missed.is_empty() { Ok(()) } else { Err(missed) }
}
