//! The past as the watch of everything told it, and reads compared with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::{
    RELAXED,
    backend::{Event, Listing, Revision, Version},
    clock::Moment,
    history::{Inner, Restart},
    verdict::{Rule, Verdict},
};

type State = BTreeMap<String, Version>;

/// Every change, by revision.
pub struct Past {
    by_revision: BTreeMap<Revision, Vec<Event>>,
    /// By the value, which is written once.
    by_value: BTreeMap<String, Revision>,
    restarts: Vec<Restart>,
    gaps: Vec<(Revision, Revision)>,
    newest: Revision,
}

/// What became of a write that was not answered.
pub enum Fate {
    At(Revision),
    Never,
    Untold,
}

impl Past {
    pub fn of(history: &Inner, verdict: &mut Verdict) -> Past {
        let mut by_revision: BTreeMap<Revision, Vec<Event>> = BTreeMap::new();
        let mut by_value = BTreeMap::new();
        for event in &history.changes {
            if let Some(value) = &event.value
                && by_value.insert(value.clone(), event.revision).is_some_and(|other| other != event.revision)
            {
                verdict.broken(Rule::Unique, format!("{event:?} happened at two revisions"));
            }
            let at = by_revision.entry(event.revision).or_default();
            if !at.contains(event) {
                at.push(event.clone());
            }
        }
        let newest = by_revision.last_key_value().map_or(0, |(revision, _)| *revision);
        let past =
            Past { by_revision, by_value, restarts: history.restarts.clone(), gaps: history.gaps.clone(), newest };
        past.check_restarts(verdict);
        past
    }

    pub fn changes(&self) -> impl Iterator<Item = &Event> {
        self.by_revision.values().flatten()
    }

    pub fn change(&self, revision: Revision, key: &str) -> Option<&Event> {
        self.by_revision.get(&revision)?.iter().find(|event| event.key == key)
    }

    /// Whether everything at this revision is known.
    pub fn covers(&self, revision: Revision) -> bool {
        revision <= self.newest && !self.gaps.iter().any(|(from, to)| (from + 1..=*to).contains(&revision))
    }

    /// Keys whose writes a power cut may take back.
    pub fn is_relaxed(&self, key: &str) -> bool {
        key.starts_with(RELAXED)
    }

    /// Whether what happened at this revision, at this moment, was taken back later.
    pub fn lost_at(&self, revision: Revision, begun: Moment) -> bool {
        self.restarts.iter().any(|r| r.begun > begun && (r.kept + 1..=r.revision).contains(&revision))
    }

    pub fn fate(&self, key: &str, value: &str) -> Fate {
        match self.by_value.get(value) {
            Some(revision) => Fate::At(*revision),
            // A value that was shown to nobody and is not there after the restart never was. Relaxed ones may have
            // been read and lost.
            None if self.gaps.is_empty() && !self.is_relaxed(key) => Fate::Never,
            None => Fate::Untold,
        }
    }

    /// The changes in `(after, up_to]` under a prefix, as a watch that was opened at this moment must see them.
    pub fn between(
        &self,
        prefix: &str,
        after: Revision,
        up_to: Revision,
        opened: Moment,
    ) -> BTreeSet<(Revision, &str)> {
        if up_to <= after {
            return BTreeSet::new();
        }
        let lost = |revision: Revision| {
            self.restarts.iter().any(|r| r.ended < opened && (r.kept + 1..=r.revision).contains(&revision))
        };
        let known = self.by_revision.range(after + 1..=up_to).filter(|(revision, _)| !lost(**revision));
        known
            .flat_map(|(_, events)| events)
            .filter(|e| e.key.starts_with(prefix))
            .map(|e| (e.revision, &*e.key))
            .collect()
    }

    /// Only relaxed changes are lost, only by power cuts, and the state that was found is what the rest made.
    fn check_restarts(&self, verdict: &mut Verdict) {
        for restart in &self.restarts {
            let range = (Bound::Excluded(restart.kept), Bound::Included(restart.revision));
            for event in self.by_revision.range(range).flat_map(|(_, events)| events) {
                if !(restart.is_power_cut && self.is_relaxed(&event.key)) {
                    verdict
                        .broken(Rule::Durable, format!("{event:?} was seen and is lost; kept up to {}", restart.kept));
                }
            }
        }
    }

    /// Walks through all states in order, and compares each read with the state of its revision.
    pub fn check_reads(&self, history: &Inner, verdict: &mut Verdict) {
        let mut reads: BTreeMap<Revision, Vec<Read<'_>>> = BTreeMap::new();
        for list in &history.lists {
            if list.asked.1.is_some_and(|at| at != list.answer.revision) {
                verdict.broken(Rule::Reads, format!("asked for {:?}, answered {}", list.asked, list.answer.revision));
            }
            reads.entry(list.answer.revision).or_default().push(Read::List(&list.asked.0, &list.answer));
        }
        for get in &history.gets {
            if let Some(revision) = get.answer.1 {
                reads.entry(revision).or_default().push(Read::Get(&get.asked, get.answer.0.as_ref()));
            }
        }
        for restart in &self.restarts {
            reads.entry(restart.revision).or_default().push(Read::List("", &restart.state));
        }
        // After a gap nothing is known.
        let known = self.gaps.iter().map(|(from, _)| *from).min().unwrap_or(self.newest);
        let mut states = States { past: self, state: State::new(), ahead: None, at: 0 };
        for (revision, reads) in reads.range(..=known) {
            states.walk_to(*revision, verdict);
            for read in reads {
                read.check(*revision, states.now(), verdict);
            }
        }
    }
}

/// The state at one revision after the other.
struct States<'a> {
    past: &'a Past,
    state: State,
    /// The state with the changes that a power cut took back, until the revision the store went on from.
    ahead: Option<(Revision, State)>,
    at: Revision,
}

impl States<'_> {
    fn walk_to(&mut self, revision: Revision, verdict: &mut Verdict) {
        let past = self.past;
        for (&at, events) in past.by_revision.range((Bound::Excluded(self.at), Bound::Included(revision))) {
            self.return_by(at);
            if let Some(restart) = past.restarts.iter().find(|r| (r.kept + 1..=r.revision).contains(&at)) {
                let ahead = self.ahead.take().map_or_else(|| self.state.clone(), |(_, state)| state);
                self.ahead = Some((restart.revision, ahead));
            }
            let state = self.ahead.as_mut().map_or(&mut self.state, |(_, ahead)| ahead);
            for event in events {
                let before = match &event.value {
                    Some(value) => state.insert(event.key.clone(), Version { value: value.clone(), revision: at }),
                    None => state.remove(&event.key),
                };
                let creates = event.value.is_some() && before.is_none();
                if creates != event.is_create || (event.value.is_none() && before.is_none()) {
                    verdict.broken(Rule::Reliable, format!("{event:?} does not follow {before:?}"));
                }
            }
        }
        self.return_by(revision);
        self.at = revision;
    }

    fn return_by(&mut self, revision: Revision) {
        // The restart's own revision is the first that shows what was kept.
        if self.ahead.as_ref().is_some_and(|(until, _)| revision >= *until) {
            self.ahead = None;
        }
    }

    fn now(&self) -> &State {
        self.ahead.as_ref().map_or(&self.state, |(_, ahead)| ahead)
    }
}

enum Read<'a> {
    List(&'a str, &'a Listing),
    Get(&'a str, Option<&'a Version>),
}

impl Read<'_> {
    fn check(&self, revision: Revision, state: &State, verdict: &mut Verdict) {
        match self {
            Read::Get(key, seen) => {
                let expected = state.get(*key);
                if expected != *seen {
                    verdict.broken(Rule::Reads, format!("{key} at {revision} is {expected:?}; a get saw {seen:?}"));
                }
            }
            Read::List(prefix, listing) => {
                let expected = state.iter().filter(|(key, _)| key.starts_with(prefix));
                if !expected.clone().eq(listing.items.iter().map(|(key, version)| (key, version))) {
                    let differ = expected.zip(&listing.items).find(|((k, v), item)| (*k, *v) != (&item.0, &item.1));
                    let text =
                        format!("a list of {prefix:?} at {revision} does not show that state; first: {differ:?}");
                    verdict.broken(Rule::Reads, text);
                }
            }
        }
    }
}
