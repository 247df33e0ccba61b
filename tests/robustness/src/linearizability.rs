//! Whether overlapping calls can be put into an order that a sequential model explains.
//!
//! The algorithm is Wing and Gong's with Lowe's memory of what was tried: take any call that began before the first
//! outstanding return, see whether the model allows it now, and go on; at a return whose call was not taken, go back
//! and take another. States already tried with the same calls taken are not tried again.

use std::{collections::HashSet, hash::Hash};

use crate::clock::Moment;

/// More steps than this, and the check gives up and says so.
pub const MAX_STEPS: u64 = 3_000_000;

/// A sequential object.
pub trait Model {
    type Op;
    type State: Clone + Eq + Hash;

    fn initial() -> Self::State;
    /// The state after the operation with the answer it had; `None` if it could not have had it.
    fn step(state: &Self::State, op: &Self::Op) -> Option<Self::State>;
}

/// A call as its caller saw it.
#[derive(Clone, Debug)]
pub struct Interval<Op> {
    pub begun: Moment,
    /// `None`: never answered. It may take effect at any time after it began, or never.
    pub ended: Option<Moment>,
    pub op: Op,
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Linearizable,
    /// No order explains this many calls; the index of the call that could be explained in no attempt that came
    /// farthest.
    Not {
        explained: usize,
        stuck: usize,
    },
    /// Too many orders to try.
    Undecided,
}

/// An entry of the list of calls and returns, in the order of time. Taken entries are unlinked.
struct Entry {
    call: usize,
    /// Of a call: its return, if it has one. Of a return: none.
    returns: Option<usize>,
    is_call: bool,
    previous: usize,
    next: usize,
}

/// Checks a history against a model.
pub fn check<M: Model>(history: &[Interval<M::Op>]) -> Answer {
    let mut entries = entries(history);
    let mut outstanding = history.iter().filter(|call| call.ended.is_some()).count();
    let total = outstanding;
    let mut state = M::initial();
    let mut taken = vec![0u64; history.len().div_ceil(64)];
    let mut tried: HashSet<(Vec<u64>, M::State)> = HashSet::new();
    let mut stack: Vec<(usize, M::State)> = Vec::new();
    let (mut farthest, mut stuck) = (0, 0);
    let mut at = entries[HEAD].next;
    for _ in 0..MAX_STEPS {
        if outstanding == 0 {
            return Answer::Linearizable;
        }
        let call = entries[at].call;
        if entries[at].is_call {
            let after = M::step(&state, &history[call].op);
            taken[call / 64] |= 1 << (call % 64);
            if let Some(after) = after
                && tried.insert((taken.clone(), after.clone()))
            {
                stack.push((at, std::mem::replace(&mut state, after)));
                outstanding -= usize::from(history[call].ended.is_some());
                unlink(&mut entries, at);
                at = entries[HEAD].next;
            } else {
                taken[call / 64] &= !(1 << (call % 64));
                at = entries[at].next;
            }
            continue;
        }
        if total - outstanding >= farthest {
            (farthest, stuck) = (total - outstanding, call);
        }
        let Some((last, before)) = stack.pop() else {
            return Answer::Not { explained: farthest, stuck };
        };
        let call = entries[last].call;
        state = before;
        taken[call / 64] &= !(1 << (call % 64));
        outstanding += usize::from(history[call].ended.is_some());
        relink(&mut entries, last);
        at = entries[last].next;
    }
    Answer::Undecided
}

const HEAD: usize = 0;

fn entries<Op>(history: &[Interval<Op>]) -> Vec<Entry> {
    let mut times: Vec<(Moment, bool, usize)> = Vec::new();
    for (index, call) in history.iter().enumerate() {
        times.push((call.begun, true, index));
        times.extend(call.ended.map(|ended| (ended, false, index)));
    }
    times.sort_unstable_by_key(|(moment, is_call, _)| (*moment, !*is_call));
    let mut entries = vec![Entry { call: 0, returns: None, is_call: true, previous: 0, next: 1 }];
    let mut calls = vec![0; history.len()];
    for (_, is_call, call) in times {
        let place = entries.len();
        if is_call {
            calls[call] = place;
        } else {
            entries[calls[call]].returns = Some(place);
        }
        entries.push(Entry { call, returns: None, is_call, previous: place - 1, next: place + 1 });
    }
    let last = entries.len() - 1;
    entries[last].next = HEAD;
    entries[HEAD].previous = last;
    entries
}

fn unlink(entries: &mut [Entry], call: usize) {
    for place in [Some(call), entries[call].returns].into_iter().flatten() {
        let (previous, next) = (entries[place].previous, entries[place].next);
        entries[previous].next = next;
        entries[next].previous = previous;
    }
}

fn relink(entries: &mut [Entry], call: usize) {
    for place in [entries[call].returns, Some(call)].into_iter().flatten() {
        let (previous, next) = (entries[place].previous, entries[place].next);
        entries[previous].next = place;
        entries[next].previous = place;
    }
}

#[cfg(test)]
mod tests;
