//! Power cuts at every kind of moment, from printed seeds.

use std::collections::BTreeMap;

use super::*;
use crate::{Op, revision::Revision};

/// How many lives each seed's store gets, and how many seeds run.
const LIVES: u64 = 12;
const SEEDS: u64 = 200;

/// What the test knows must be true.
#[derive(Default)]
struct Expected {
    /// Every version that may exist, by revision: what was asked for at that number, last.
    asked: BTreeMap<(Revision, String), Option<String>>,
    /// The newest acknowledged durable change of each key.
    durable: BTreeMap<String, Revision>,
    /// The newest revision anybody saw.
    seen: Revision,
    next: u64,
}

#[test]
fn no_power_cut_loses_or_splits_what_was_acknowledged() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| one_store(seed));
        assert!(result.is_ok(), "failed with seed {seed}");
    }
}

fn one_store(seed: u64) {
    let mut dice = Dice(seed);
    let mut expected = Expected::default();
    let mut disk = SimDisk::default();
    for _ in 0..LIVES {
        // What is relaxed is gathered for long, for the time of a batch, or not at all.
        let config = match dice.roll(3) {
            0 => StoreConfig { relaxed_delay: Duration::from_secs(3600), segment_bytes: 8 << 10, ..small() },
            1 => small(),
            _ => StoreConfig { gather_within: Duration::ZERO, ..small() },
        };
        // A store that dies while it is opened leaves a disk that opens too.
        if dice.roll(4) == 0 {
            disk.set(Faults { dies_after: Some(dice.roll(8)), ..Faults::default() });
            drop(Bench::open_with(disk.clone(), config.clone()));
            disk = disk.after_power_cut(|sides| dice.roll(sides));
        }
        let mut bench = Bench::open_with(disk.clone(), config).unwrap();
        verify(&bench, &mut expected);
        disk.set(Faults { dies_after: Some(dice.roll(120)), ..Faults::default() });
        while live(&mut bench, &mut expected, &mut dice) {}
        // The disk is gone at the end, but what the kernel has of it is what was seen.
        let is_kill = dice.roll(4) == 0;
        let before = bench.hub.state();
        disk = match is_kill {
            true => disk.after_kill(),
            false => disk.after_power_cut(|sides| dice.roll(sides)),
        };
        if is_kill {
            let again = Bench::open_with(disk.after_kill(), small()).unwrap();
            assert!(again.recovery.kept >= newest_change(&before), "a death of the process lost what was seen");
        }
    }
}

/// One batch; false when the disk is gone.
fn live(bench: &mut Bench, expected: &mut Expected, dice: &mut Dice) -> bool {
    let mut writes = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..=dice.roll(4) {
        expected.next += 1;
        let value = format!("{}-{}", expected.next, "v".repeat(dice.roll(200) as usize));
        let n = dice.roll(5);
        let keys = match dice.roll(3) {
            0 => vec![format!("pair/{n}/a"), format!("pair/{n}/b")],
            _ => vec![format!("one/{n}")],
        };
        let current = bench.hub.state().keys.get(keys[0].as_bytes()).cloned();
        let (write, value) = match (dice.roll(4), current) {
            (0, Some(kv)) if keys.len() == 1 => (Write::delete(keys[0].as_bytes(), kv.mod_revision), None),
            _ => {
                let put = |key: &String| Op::Put { key: key.as_bytes().into(), value: value.clone().into() };
                (Write::transaction(keys.iter().map(put).collect()), Some(value))
            }
        };
        let relaxed = dice.roll(3) == 0;
        writes.push(if relaxed { write.relaxed() } else { write });
        asked.push((keys, value, relaxed));
    }
    let mut revision = bench.hub.state().revision;
    let answers = bench.write(writes);
    let mut alive = true;
    let mut touched = Vec::new();
    for ((keys, value, relaxed), answer) in asked.into_iter().zip(answers) {
        // A delete names the version from before the batch. In a batch that fails it is told so,
        // not that it conflicts.
        if value.is_none() && touched.contains(&keys[0]) {
            assert!(matches!(answer, Err(WriteError::Conflict { .. } | WriteError::Poisoned)));
            alive &= !matches!(answer, Err(WriteError::Poisoned));
            continue;
        }
        touched.extend(keys.iter().cloned());
        revision = revision.next();
        for key in keys {
            expected.asked.insert((revision, key.clone()), value.clone());
            if answer.is_ok() && !relaxed {
                expected.durable.insert(key, revision);
            }
        }
        match answer {
            Ok(committed) => {
                assert_eq!(committed.revision, revision);
                expected.seen = revision;
            }
            Err(WriteError::Poisoned) => alive = false,
            Err(error) => panic!("{error}"),
        }
    }
    bench.keep_house();
    alive
}

fn verify(bench: &Bench, expected: &mut Expected) {
    let state = bench.hub.state();
    assert!(state.revision >= expected.seen, "the revision went back");
    let found = bench.recovery.found;
    for (key, revision) in &expected.durable {
        assert!(found >= *revision, "an acknowledged write is lost");
        // Nothing but a later change of the key may have taken its place.
        let at = state.keys.get(key.as_bytes()).map(|kv| kv.mod_revision);
        let newest = at.or_else(|| newest_delete(expected, key, found));
        assert!(newest >= Some(*revision), "{key} is at {newest:?}, acknowledged at {revision}");
    }
    for kv in state.keys.values() {
        let key = String::from_utf8(kv.key.to_vec()).unwrap();
        let value = String::from_utf8(kv.value.to_vec()).unwrap();
        assert_eq!(expected.asked.get(&(kv.mod_revision, key.clone())), Some(&Some(value)), "{key}");
        if let Some(base) = key.strip_suffix("/a") {
            let other = state.keys.get(format!("{base}/b").as_bytes()).unwrap();
            assert_eq!((&kv.value, kv.mod_revision), (&other.value, other.mod_revision), "split pair");
        }
    }
    // The window tells the same story from both ends.
    let floor = state.keys_at(state.floor);
    assert!(floor == state.floor_keys, "undoing the history does not lead to its floor");
    // What was asked for and is not there never will be; its number is free or skipped.
    expected.asked.retain(|(revision, _), _| *revision <= found);
    expected.seen = state.revision;
}

fn newest_change(state: &crate::state::State) -> Revision {
    let changed = state.history.iter().rev().find(|(_, changes)| !changes.is_empty());
    changed.map_or(state.floor, |(revision, _)| *revision)
}

fn newest_delete(expected: &Expected, key: &str, found: Revision) -> Option<Revision> {
    let of_key = expected.asked.iter().filter(|((revision, k), _)| k == key && *revision <= found);
    of_key.filter(|(_, value)| value.is_none()).map(|((revision, _), _)| *revision).max()
}
