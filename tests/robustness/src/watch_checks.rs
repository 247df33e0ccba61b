//! The guarantees of a watch, each by itself.

use std::collections::BTreeSet;

use crate::{
    backend::{Event, Revision, Said},
    history::WatchLog,
    verdict::{Past, Rule, Verdict},
};

/// Checks what one watch said against the past.
pub fn check(watch: &WatchLog, past: &Past, verdict: &mut Verdict) {
    let mut seen: BTreeSet<(Revision, &str)> = BTreeSet::new();
    let mut said = Progress { newest: watch.after, bookmark: watch.after };
    for (_, message) in &watch.said {
        match message {
            Said::Events(events) => {
                verdict.events += events.len();
                said.events(watch, events, &mut seen, verdict);
            }
            Said::Bookmark(revision) => {
                if *revision < said.bookmark {
                    let text = format!("{}: a bookmark went from {} back to {revision}", name(watch), said.bookmark);
                    verdict.broken(Rule::Bookmark, text);
                }
                said.bookmark = *revision;
                said.newest = said.newest.max(*revision);
            }
        }
    }
    reliable(watch, past, &seen, said.newest, verdict);
}

struct Progress {
    /// Everything up to here should have been said.
    newest: Revision,
    bookmark: Revision,
}

impl Progress {
    fn events<'a>(
        &mut self,
        watch: &WatchLog,
        events: &'a [Event],
        seen: &mut BTreeSet<(Revision, &'a str)>,
        verdict: &mut Verdict,
    ) {
        let before = seen.last().map(|(revision, _)| *revision);
        for event in events {
            let Event { revision, key, .. } = event;
            if *revision <= watch.after {
                verdict.broken(Rule::Resumable, format!("{}: got {event:?}", name(watch)));
            } else if *revision <= self.bookmark {
                let text = format!("{}: {event:?} came after the bookmark {}", name(watch), self.bookmark);
                verdict.broken(Rule::Bookmark, text);
            }
            if *revision < self.newest {
                verdict.broken(Rule::Ordered, format!("{}: {event:?} came after {}", name(watch), self.newest));
            }
            if before == Some(*revision) {
                verdict.broken(Rule::Atomic, format!("{}: {event:?} was split from its transaction", name(watch)));
            }
            if !seen.insert((*revision, key)) {
                verdict.broken(Rule::Unique, format!("{}: {event:?} came twice", name(watch)));
            }
            if !key.starts_with(&watch.prefix) {
                verdict.broken(Rule::Reliable, format!("{}: {event:?} is none of it", name(watch)));
            }
            self.newest = self.newest.max(*revision);
        }
    }
}

/// What the watch saw is what happened, no more and no less.
fn reliable(watch: &WatchLog, past: &Past, seen: &BTreeSet<(Revision, &str)>, newest: Revision, verdict: &mut Verdict) {
    let happened = past.between(&watch.prefix, watch.after, newest, watch.opened);
    for (revision, key) in happened.difference(seen) {
        let text = format!("{}: the change of {key} at {revision} is missing; seen up to {newest}", name(watch));
        verdict.broken(Rule::Reliable, text);
    }
    for (revision, key) in seen.difference(&happened).filter(|(revision, _)| past.covers(*revision)) {
        if *revision > watch.after {
            verdict.broken(Rule::Reliable, format!("{}: a change of {key} at {revision} never was", name(watch)));
        }
    }
    for event in watch.said.iter().flat_map(|(_, said)| match said {
        Said::Events(events) => events.as_slice(),
        Said::Bookmark(_) => &[],
    }) {
        if past.change(event.revision, &event.key).is_some_and(|other| other != event) {
            verdict.broken(Rule::Reliable, format!("{}: {event:?} was told otherwise to another", name(watch)));
        }
    }
}

fn name(watch: &WatchLog) -> String {
    format!("watch of {:?} after {}", watch.prefix, watch.after)
}

#[cfg(test)]
mod tests;
