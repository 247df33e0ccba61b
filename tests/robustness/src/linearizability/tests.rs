//! Histories whose answer is known, and a comparison with trying every order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use testkit::Dice;

/// A register of one number.
struct Register;

#[derive(Clone, Debug)]
enum Op {
    Write(u64),
    Read(u64),
    /// Compare and swap, with whether it was done.
    Swap(u64, u64, bool),
}

impl Model for Register {
    type Op = Op;
    type State = u64;

    fn initial() -> u64 {
        0
    }

    fn step(state: &u64, op: &Op) -> Option<u64> {
        match op {
            Op::Write(value) => Some(*value),
            Op::Read(value) => (value == state).then_some(*state),
            Op::Swap(from, to, true) => (from == state).then_some(*to),
            Op::Swap(from, _, false) => (from != state).then_some(*state),
        }
    }
}

fn history(calls: &[(u64, u64, Op)]) -> Vec<Interval<Op>> {
    let ended = |end: u64| (end > 0).then_some(end);
    calls.iter().map(|(begun, end, op)| Interval { begun: *begun, ended: ended(*end), op: op.clone() }).collect()
}

fn holds(calls: &[(u64, u64, Op)]) -> bool {
    match check::<Register>(&history(calls)) {
        Answer::Linearizable => true,
        Answer::Not { .. } => false,
        Answer::Undecided => panic!("undecided"),
    }
}

#[test]
fn good_histories() {
    assert!(holds(&[]));
    assert!(holds(&[(1, 2, Op::Write(1)), (3, 4, Op::Read(1))]));
    // A read that overlaps a write may see either.
    for seen in [0, 1] {
        assert!(holds(&[(1, 4, Op::Write(1)), (2, 3, Op::Read(seen))]));
    }
    // Two writers at once, two readers after one another.
    assert!(holds(&[(1, 10, Op::Write(1)), (2, 9, Op::Write(2)), (3, 4, Op::Read(2)), (5, 6, Op::Read(1))]));
    // A write that was never answered took effect late, early, or never.
    assert!(holds(&[(1, 0, Op::Write(1)), (2, 3, Op::Read(0)), (4, 5, Op::Read(1))]));
    assert!(holds(&[(1, 0, Op::Write(1)), (2, 3, Op::Read(0)), (4, 5, Op::Read(0))]));
    // Of two swaps at once one is refused.
    assert!(holds(&[(1, 4, Op::Swap(0, 1, true)), (2, 5, Op::Swap(0, 2, false)), (6, 7, Op::Read(1))]));
}

#[test]
fn bad_histories() {
    // Stale read.
    assert!(!holds(&[(1, 2, Op::Write(1)), (3, 4, Op::Read(0))]));
    // Lost write, although it was answered.
    assert!(!holds(&[(1, 2, Op::Write(1)), (3, 4, Op::Write(2)), (5, 6, Op::Read(1))]));
    // A value from nowhere.
    assert!(!holds(&[(1, 2, Op::Read(7))]));
    // Reads that go back: the first saw the new value, the second, which began later, the old one.
    assert!(!holds(&[(1, 10, Op::Write(1)), (2, 3, Op::Read(1)), (4, 5, Op::Read(0))]));
    // A write cannot take effect before it began.
    assert!(!holds(&[(1, 2, Op::Read(1)), (3, 0, Op::Write(1))]));
    // Both swaps from the same value were done.
    assert!(!holds(&[(1, 4, Op::Swap(0, 1, true)), (2, 5, Op::Swap(0, 2, true))]));
    // A swap was refused for no reason.
    assert!(!holds(&[(1, 2, Op::Swap(0, 1, false))]));
    // Two readers disagree on the order of two writes.
    let writes = [(1, 20, Op::Write(1)), (2, 19, Op::Write(2))];
    let reads = [(3, 4, Op::Read(1)), (5, 6, Op::Read(2)), (7, 8, Op::Read(1))];
    assert!(!holds(&[&writes[..], &reads[..]].concat()));
}

#[test]
fn says_which_call_cannot_be_explained() {
    let calls = [(1, 2, Op::Write(1)), (3, 4, Op::Read(1)), (5, 6, Op::Read(0)), (7, 8, Op::Read(1))];
    assert_eq!(check::<Register>(&history(&calls)), Answer::Not { explained: 2, stuck: 2 });
}

/// Every order that respects time, and every choice of which unanswered calls take effect.
fn by_hand(history: &[Interval<Op>], state: u64, taken: &mut Vec<bool>) -> bool {
    if history.iter().zip(&*taken).all(|(call, taken)| *taken || call.ended.is_none()) {
        return true;
    }
    let open = |taken: &[bool]| history.iter().zip(taken).filter(|(_, t)| !**t).filter_map(|(c, _)| c.ended).min();
    let limit = open(taken).unwrap_or(u64::MAX);
    for index in 0..history.len() {
        if !taken[index]
            && history[index].begun < limit
            && let Some(after) = Register::step(&state, &history[index].op)
        {
            taken[index] = true;
            let found = by_hand(history, after, taken);
            taken[index] = false;
            if found {
                return true;
            }
        }
    }
    false
}

#[test]
fn agrees_with_trying_every_order() {
    let mut answers = [0, 0];
    for seed in 0..4000 {
        let mut dice = Dice(seed);
        let mut calls = Vec::new();
        for _ in 0..=dice.roll(7) {
            let begun = 1 + dice.roll(20);
            let ended = if dice.roll(6) == 0 { None } else { Some(begun + 1 + dice.roll(8)) };
            let op = match dice.roll(3) {
                0 => Op::Write(dice.roll(3)),
                1 => Op::Read(dice.roll(3)),
                _ => Op::Swap(dice.roll(3), dice.roll(3), dice.roll(2) == 0),
            };
            // Moments of a run are all different.
            calls.push(Interval {
                begun: begun * 16 + calls.len() as u64,
                ended: ended.map(|e| e * 16 + 8 + calls.len() as u64),
                op,
            });
        }
        let expected = by_hand(&calls, 0, &mut vec![false; calls.len()]);
        let found = check::<Register>(&calls) == Answer::Linearizable;
        assert_eq!(found, expected, "seed {seed}: {calls:?}");
        answers[usize::from(found)] += 1;
    }
    assert!(answers.iter().all(|count| *count > 500), "{answers:?}");
}
