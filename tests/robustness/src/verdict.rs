//! All checks of one history, and what they found.

use std::{collections::BTreeMap, fmt};

use crate::{
    backend::{Change, Revision, Said, Written},
    clock::Moment,
    history::Inner,
    linearizability::{self, Answer, Interval},
    register::{Op, Outcome, Register},
    watch_checks,
};

mod past;

pub use past::Past;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The calls on each key can be explained by one order that respects time.
    Linearizable,
    /// An acknowledged durable write is there for ever, and nothing is there that nobody wrote.
    Durable,
    /// The backend comes back after it died.
    Opens,
    /// Later calls see and get greater revisions, over restarts too.
    Revisions,
    /// A read at a revision shows exactly the state of that revision.
    Reads,
    /// Events of a watch come in the order of revisions.
    Ordered,
    /// No event comes twice.
    Unique,
    /// No event is missing between the beginning of a watch and the newest it saw.
    Reliable,
    /// The events of one transaction come together.
    Atomic,
    /// The files of a store are in proportion to what lives.
    Bounded,
    /// A watch begins right after the revision it was asked for.
    Resumable,
    /// After a bookmark comes nothing that it covers.
    Bookmark,
}

/// A rule that does not hold, and how.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

/// What the checks of a history found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub violations: Vec<Violation>,
    /// Keys whose histories had too many orders to try.
    pub undecided: usize,
    /// How much was checked.
    pub calls: usize,
    pub events: usize,
    pub watches: usize,
    pub restarts: usize,
}

/// Violations told in words; more are only counted.
const TOLD: usize = 12;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { violations, undecided, calls, events, watches, restarts } = self;
        write!(
            f,
            "{calls} calls, {events} events of {watches} watches, {restarts} restarts, {undecided} keys undecided, {} \
             violations",
            violations.len()
        )?;
        violations.iter().take(TOLD).try_for_each(|v| write!(f, "\n  {:?}: {}", v.rule, v.text))
    }
}

impl Verdict {
    /// Checks everything.
    pub fn of(history: &Inner) -> Verdict {
        let mut verdict = Verdict {
            calls: history.writes.len() + history.gets.len() + history.lists.len(),
            watches: history.watches.len(),
            restarts: history.restarts.len(),
            ..Verdict::default()
        };
        for (rule, text) in &history.broken {
            verdict.broken(*rule, text.clone());
        }
        let past = Past::of(history, &mut verdict);
        durable(history, &past, &mut verdict);
        revisions(history, &mut verdict);
        past.check_reads(history, &mut verdict);
        linearizable(history, &past, &mut verdict);
        for watch in &history.watches {
            watch_checks::check(watch, &past, &mut verdict);
        }
        verdict
    }

    pub fn broken(&mut self, rule: Rule, text: String) {
        self.violations.push(Violation { rule, text });
    }

    /// Whether everything held, and was decided.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.undecided == 0
    }

    pub fn breaks(&self, rule: Rule) -> bool {
        self.violations.iter().any(|violation| violation.rule == rule)
    }
}

/// Acknowledged changes are in the past, as they were asked for.
fn durable(history: &Inner, past: &Past, verdict: &mut Verdict) {
    let mut asked: BTreeMap<&str, &Change> = BTreeMap::new();
    for write in &history.writes {
        asked.extend(write.asked.changes.iter().filter_map(|change| Some((change.value()?, change))));
        let Written::Done { revision } = write.answer else { continue };
        if !past.covers(revision) {
            continue;
        }
        for change in &write.asked.changes {
            let found = past.change(revision, change.key());
            if found.is_none_or(|event| event.value.as_deref() != change.value()) {
                let text = format!("{change:?} was acknowledged at {revision}; found there: {found:?}");
                verdict.broken(Rule::Durable, text);
            }
        }
        if !write.asked.relaxed && past.lost_at(revision, write.begun) {
            verdict.broken(Rule::Durable, format!("{:?}, acknowledged at {revision}, is lost", write.asked));
        }
    }
    for event in past.changes() {
        let Some(value) = &event.value else { continue };
        if asked.get(value.as_str()).is_none_or(|change| change.key() != event.key) {
            verdict.broken(Rule::Durable, format!("nobody wrote {event:?}"));
        }
    }
}

/// Whoever begins after somebody ended sees no older revision, and writes get a newer one.
fn revisions(history: &Inner, verdict: &mut Verdict) {
    // When it was asked, when it was known, the revision, and whether it must be new.
    let mut all: Vec<(Moment, Moment, Revision, bool)> = Vec::new();
    for write in &history.writes {
        if let Written::Done { revision } = write.answer {
            all.push((write.begun, write.ended, revision, true));
        }
    }
    for get in &history.gets {
        all.extend(get.answer.1.map(|revision| (get.begun, get.ended, revision, false)));
    }
    for list in history.lists.iter().filter(|list| list.asked.1.is_none()) {
        all.push((list.begun, list.ended, list.answer.revision, false));
    }
    for restart in &history.restarts {
        all.push((restart.begun, restart.ended, restart.revision, false));
    }
    let mut seen: Vec<(Moment, Revision)> = all.iter().map(|(_, ended, revision, _)| (*ended, *revision)).collect();
    for (moment, said) in history.watches.iter().flat_map(|watch| &watch.said) {
        let newest = match said {
            Said::Events(events) => events.iter().map(|event| event.revision).max(),
            Said::Bookmark(revision) => Some(*revision),
        };
        seen.extend(newest.map(|revision| (*moment, revision)));
    }
    all.sort_unstable();
    seen.sort_unstable();
    let (mut newest, mut next) = (0, 0);
    for (begun, _, revision, is_new) in all {
        while let Some((_, known)) = seen.get(next).filter(|(moment, _)| *moment < begun) {
            newest = newest.max(*known);
            next += 1;
        }
        if revision < newest || (is_new && revision == newest) {
            verdict.broken(Rule::Revisions, format!("revision {revision} was given after {newest} had been seen"));
        }
    }
}

/// Each key by itself.
fn linearizable(history: &Inner, past: &Past, verdict: &mut Verdict) {
    for (key, calls) in calls_by_key(history, past) {
        match linearizability::check::<Register>(&calls) {
            Answer::Linearizable => {}
            Answer::Undecided => verdict.undecided += 1,
            Answer::Not { explained, stuck } => {
                let around: Vec<_> = calls.iter().filter(|call| near(call, &calls[stuck])).collect();
                let text = format!("{key}: {explained} of {} calls explained; around: {around:#?}", calls.len());
                verdict.broken(Rule::Linearizable, text);
            }
        }
    }
}

fn near(call: &Interval<Op>, stuck: &Interval<Op>) -> bool {
    const AROUND: Moment = 40;
    let from = stuck.begun.saturating_sub(AROUND);
    call.begun <= stuck.ended.unwrap_or(stuck.begun) && call.ended.is_some_and(|ended| ended >= from)
}

fn calls_by_key(history: &Inner, past: &Past) -> BTreeMap<String, Vec<Interval<Op>>> {
    let mut calls: BTreeMap<String, Vec<Interval<Op>>> = BTreeMap::new();
    let mut add = |key: &str, begun, ended, op| {
        calls.entry(key.to_owned()).or_default().push(Interval { begun, ended, op });
    };
    for write in &history.writes {
        for change in &write.asked.changes {
            let (key, expected) = (change.key(), change.expected());
            let value = change.value().map(str::to_owned);
            let (outcome, ended) = match &write.answer {
                Written::Done { revision } => (Outcome::Done(*revision), Some(write.ended)),
                Written::DoneSomewhen => (Outcome::DoneSomewhen, Some(write.ended)),
                Written::Conflict { key: at, current } if at == key => {
                    (Outcome::Conflict(current.clone()), Some(write.ended))
                }
                Written::Conflict { .. } | Written::Refused => continue,
                // What became of it can often be read in the past: then it is a plain write without an end.
                Written::Unknown => match value.as_deref().map(|value| past.fate(key, value)) {
                    Some(past::Fate::Never) => continue,
                    Some(past::Fate::At(revision)) => (Outcome::Done(revision), None),
                    Some(past::Fate::Untold) | None => (Outcome::Unknown, None),
                },
            };
            add(key, write.begun, ended, Op::Write { expected, value, outcome });
        }
    }
    for get in &history.gets {
        add(&get.asked, get.begun, Some(get.ended), Op::Get(get.answer.0.clone()));
    }
    let keys: Vec<String> = calls.keys().cloned().collect();
    for restart in history.restarts.iter().filter(|restart| restart.is_power_cut) {
        for key in keys.iter().filter(|key| past.is_relaxed(key)) {
            let found = restart.state.items.iter().find(|(other, _)| other == key).map(|(_, version)| version.clone());
            let op = Op::Found(found);
            calls.entry(key.clone()).or_default().push(Interval {
                begun: restart.begun,
                ended: Some(restart.ended),
                op,
            });
        }
    }
    calls
}
