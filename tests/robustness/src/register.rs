//! One key as a sequential object, for the checker.

use crate::{
    backend::{Revision, Version},
    linearizability::Model,
};

/// A call on the key with its answer.
#[derive(Clone, Debug)]
pub enum Op {
    /// `expected`: `None` anything, `Some(0)` absent. `value`: `None` deletes.
    Write {
        expected: Option<Revision>,
        value: Option<String>,
        outcome: Outcome,
    },
    Get(Option<Version>),
    /// What was found after a power cut, which may have taken back relaxed writes.
    Found(Option<Version>),
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Done(Revision),
    /// At a revision that was not told.
    DoneSomewhen,
    /// What stood in the way, where it was told.
    Conflict(Option<Option<Version>>),
    Unknown,
}

/// The key at one moment. A write whose answer was lost leaves a revision that is learnt when it is next seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    held: Option<(String, Option<Revision>)>,
    /// The greatest revision known.
    newest: Revision,
}

/// [`Model`] of a key.
pub struct Register;

impl Model for Register {
    type Op = Op;
    type State = Key;

    fn initial() -> Key {
        Key { held: None, newest: 0 }
    }

    fn step(key: &Key, op: &Op) -> Option<Key> {
        match op {
            Op::Get(seen) => key.learn(seen),
            Op::Found(seen) => {
                let held = seen.as_ref().map(|version| (version.value.clone(), Some(version.revision)));
                Some(Key { held, newest: key.newest })
            }
            Op::Write { expected, outcome: Outcome::Conflict(current), .. } => {
                if key.certainly_meets(*expected) {
                    return None;
                }
                match current {
                    None => Some(key.clone()),
                    Some(current) => {
                        let known = key.learn(current)?;
                        (!known.certainly_meets(*expected)).then_some(known)
                    }
                }
            }
            Op::Write { expected, value, outcome: Outcome::Done(revision) } => {
                let grows = *revision > key.newest;
                let held = value.clone().map(|value| (value, Some(*revision)));
                (grows && key.may_meet(*expected)).then_some(Key { held, newest: *revision })
            }
            Op::Write { expected, value, outcome: Outcome::Unknown | Outcome::DoneSomewhen } => {
                let held = value.clone().map(|value| (value, None));
                key.may_meet(*expected).then_some(Key { held, newest: key.newest })
            }
        }
    }
}

impl Key {
    fn may_meet(&self, expected: Option<Revision>) -> bool {
        match (expected, &self.held) {
            (None, _) | (Some(0), None) => true,
            (Some(0), Some(_)) | (Some(_), None) => false,
            (Some(expected), Some((_, revision))) => revision.is_none_or(|revision| revision == expected),
        }
    }

    fn certainly_meets(&self, expected: Option<Revision>) -> bool {
        self.may_meet(expected) && !matches!((expected, &self.held), (Some(1..), Some((_, None))))
    }

    /// The same key, of which this was seen; `None` if it cannot have been.
    fn learn(&self, seen: &Option<Version>) -> Option<Key> {
        match (seen, &self.held) {
            (None, None) => Some(self.clone()),
            (Some(seen), Some((value, revision))) => {
                let fits = match revision {
                    Some(revision) => *revision == seen.revision,
                    None => seen.revision > self.newest,
                };
                (*value == seen.value && fits).then(|| Key {
                    held: Some((seen.value.clone(), Some(seen.revision))),
                    newest: self.newest.max(seen.revision),
                })
            }
            _ => None,
        }
    }
}
