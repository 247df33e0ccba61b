//! Pods that wait for a node: ready to be tried, backing off, or put aside until something happens that may help.
//! Every pod is in exactly one place. Time is handed in.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use controller_runtime::Key;
use tokio::time::Instant;

use crate::{
    plugins::{ClusterEvent, Plugin},
    pod_info::PodInfo,
};

/// Upstream's podInitialBackoffSeconds and podMaxBackoffSeconds.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A pod put aside is tried again after this long, whatever happened or was missed.
const MAX_ASIDE: Duration = Duration::from_secs(5 * 60);

/// The order of trying: higher priority first, then who waits longer.
type Rank = (Reverse<i32>, u64);

struct Waiting {
    pod: Arc<PodInfo>,
    attempts: u32,
    place: Place,
}

enum Place {
    Ready(Rank),
    /// Until this time.
    BackingOff(Instant),
    Aside {
        since: Instant,
        backoff_until: Instant,
        refused_by: Vec<&'static str>,
    },
    /// Being tried; the number of events seen when it was taken.
    InFlight {
        events: u64,
    },
}

#[derive(Default)]
pub(crate) struct Queue {
    waiting: HashMap<Key, Waiting>,
    ready: BTreeMap<Rank, Key>,
    backing_off: BTreeSet<(Instant, Key)>,
    arrivals: u64,
    /// Cluster events so far: one that comes while a pod is in flight must not be missed.
    events: u64,
}

impl Queue {
    /// A pod that needs a node, new or changed. A change gives a pod put aside another try.
    pub(crate) fn put(&mut self, pod: Arc<PodInfo>) {
        let key = pod.key.clone();
        let known = self.waiting.get_mut(&key).filter(|w| w.pod.uid == pod.uid);
        match known {
            Some(Waiting {
                pod: old, place: Place::InFlight { .. } | Place::Ready(_) | Place::BackingOff(_), ..
            }) => {
                *old = pod;
            }
            Some(Waiting { pod: old, place: Place::Aside { .. }, .. }) => {
                let changed = old.labels != pod.labels
                    || old.requests != pod.requests
                    || old.tolerations.len() != pod.tolerations.len()
                    || old.gated != pod.gated;
                *old = pod;
                if changed {
                    self.make_ready(&key);
                }
            }
            None => {
                self.remove(&key);
                self.waiting.insert(key.clone(), Waiting { pod, attempts: 0, place: Place::InFlight { events: 0 } });
                self.make_ready(&key);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.leave_place(key);
        self.waiting.remove(key);
    }

    fn leave_place(&mut self, key: &Key) {
        match self.waiting.get(key).map(|w| &w.place) {
            Some(Place::Ready(rank)) => {
                self.ready.remove(rank);
            }
            Some(Place::BackingOff(until)) => {
                self.backing_off.remove(&(*until, key.clone()));
            }
            _ => {}
        }
    }

    fn make_ready(&mut self, key: &Key) {
        self.leave_place(key);
        self.arrivals += 1;
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        let rank = (Reverse(waiting.pod.priority), self.arrivals);
        waiting.place = Place::Ready(rank);
        self.ready.insert(rank, key.clone());
    }

    fn back_off(&mut self, key: &Key, until: Instant) {
        self.leave_place(key);
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.place = Place::BackingOff(until);
            self.backing_off.insert((until, key.clone()));
        }
    }

    /// The next pod to try. It stays known, in flight, until [`Queue::remove`] or one of the refusals.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Arc<PodInfo>> {
        while let Some((until, key)) = self.backing_off.first().filter(|(until, _)| *until <= now).cloned() {
            self.backing_off.remove(&(until, key.clone()));
            self.make_ready(&key);
        }
        let (_, key) = self.ready.pop_first()?;
        let waiting = self.waiting.get_mut(&key)?;
        waiting.attempts += 1;
        waiting.place = Place::InFlight { events: self.events };
        Some(waiting.pod.clone())
    }

    /// No node fits: waits for an event that may change that, or backs off when one came meanwhile.
    pub(crate) fn refuse(&mut self, key: &Key, refused_by: Vec<&'static str>, now: Instant) {
        let events = self.events;
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        // Another pod of the name may wait by now.
        let Place::InFlight { events: seen } = waiting.place else { return };
        let backoff_until = now + backoff(waiting.attempts);
        if seen != events {
            self.back_off(key, backoff_until);
        } else {
            waiting.place = Place::Aside { since: now, backoff_until, refused_by };
        }
    }

    /// Something failed that trying again may mend.
    pub(crate) fn retry(&mut self, key: &Key, now: Instant) {
        if let Some(waiting) = self.waiting.get(key) {
            self.back_off(key, now + backoff(waiting.attempts));
        }
    }

    /// Gives those another try that the event may help.
    pub(crate) fn on_event(&mut self, event: ClusterEvent, plugins: &[&dyn Plugin], now: Instant) {
        self.events += 1;
        let helped: Vec<(Key, Instant)> = self
            .waiting
            .iter()
            .filter_map(|(key, waiting)| match &waiting.place {
                Place::Aside { refused_by, backoff_until, .. } => {
                    let wakes = |p: &&dyn Plugin| refused_by.contains(&p.name()) && p.wakes(event);
                    // Refused by nobody: there was no node at all.
                    let helps = refused_by.is_empty() || plugins.iter().any(wakes);
                    helps.then(|| (key.clone(), *backoff_until))
                }
                _ => None,
            })
            .collect();
        for (key, until) in helped {
            if until > now { self.back_off(&key, until) } else { self.make_ready(&key) }
        }
    }

    /// Gives those another try that were put aside long ago.
    pub(crate) fn flush_aside(&mut self, now: Instant) {
        let old = |w: &Waiting| matches!(w.place, Place::Aside { since, .. } if now >= since + MAX_ASIDE);
        let keys: Vec<Key> = self.waiting.iter().filter(|(_, w)| old(w)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.make_ready(key));
    }

    /// When there is something to do without anything happening.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let aside = self.waiting.values().filter_map(|w| match w.place {
            Place::Aside { since, .. } => Some(since + MAX_ASIDE),
            _ => None,
        });
        let backing_off = self.backing_off.first().map(|(until, _)| *until);
        aside.chain(backing_off).min()
    }

    /// How many wait in each place: ready, backing off, aside.
    #[cfg(test)]
    pub(crate) fn lengths(&self) -> (usize, usize, usize) {
        let aside = self.waiting.values().filter(|w| matches!(w.place, Place::Aside { .. })).count();
        (self.ready.len(), self.backing_off.len(), aside)
    }
}

/// Doubles with every attempt.
fn backoff(attempts: u32) -> Duration {
    INITIAL_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests;
