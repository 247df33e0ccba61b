//! Events go away an hour after they were last written. Every event has the same time to live, so those written
//! first expire first and one queue with one timer suffices. The queue is in memory, filled from what the stored events
//! say of their age and from their changes, whoever wrote them: with several servers each knows all, and deletes what
//! is still there when its time is over. Where the store is etcd its leases do that, as upstream has it; the queue is
//! for events that have none, of older servers or moved from a data folder.
//!
//! The wall clock may jump. While the server runs, only the time that passes counts. When it starts, the age of an
//! event is its distance from the newest one, never from a clock that may be ahead: an event may stay longer than its
//! time, by as long as no event came and no server ran, but none goes early.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use apimachinery::Object;
use serde_json::Value;
use store::{Event, Key, KeyValue, Revision, Snapshot, WatchError, Write, WriteError};
use tokio::time::Instant;

use crate::Registry;

/// Where both groups' events lie.
pub(crate) const EVENTS: &str = "/registry/events/";
/// How much longer a leased event may stay: as long as a lease is shared, and as etcd takes to end it.
const LEASED: Duration = Duration::from_secs(300);
/// How many events are deleted before others get a turn.
const BATCH: usize = 256;
/// After a store that took no write, for a full disk, so long until the next attempt.
const RETRY_AFTER: Duration = Duration::from_secs(60);

struct Due {
    at: Instant,
    key: Key,
    /// A later write has a place of its own in the queue.
    revision: Revision,
}

/// What is to expire, soonest first. As long as the events of the last hour, which is what the store holds anyway.
struct Expiry {
    ttl: Duration,
    queue: VecDeque<Due>,
    /// Nothing is deleted before, whatever is due.
    not_before: Instant,
}

impl Expiry {
    fn new(ttl: Duration, snapshot: &Snapshot, now: jiff::Timestamp) -> Self {
        let begun = Instant::now();
        let stored: Vec<_> =
            snapshot.walk(EVENTS.as_bytes(), None).map(|kv| (last_seen(kv).map(|last| last.min(now)), kv)).collect();
        let newest = stored.iter().filter_map(|(last, _)| *last).max().unwrap_or(now);
        let due = |(last, kv): (Option<jiff::Timestamp>, &Arc<KeyValue>)| {
            let age = last.and_then(|last| Duration::try_from(newest.duration_since(last)).ok());
            let left = age.map_or(Duration::ZERO, |age| ttl.saturating_sub(age));
            Due { at: begun + left, key: kv.key.clone(), revision: kv.mod_revision }
        };
        let mut queue: Vec<Due> = stored.into_iter().map(due).collect();
        queue.sort_by_key(|due| due.at);
        Self { ttl, queue: queue.into(), not_before: begun }
    }

    /// Events were written.
    fn wrote(&mut self, events: &[Arc<Event>]) {
        let at = Instant::now() + self.ttl;
        let written = events.iter().filter_map(|event| event.current.as_ref());
        self.queue.extend(written.map(|kv| Due { at, key: kv.key.clone(), revision: kv.mod_revision }));
    }

    /// Waits for something to expire.
    async fn next(&mut self) -> Vec<Due> {
        let Some(first) = self.queue.front() else { return std::future::pending().await };
        tokio::time::sleep_until(first.at.max(self.not_before)).await;
        let now = Instant::now();
        let count = self.queue.iter().take(BATCH).take_while(|due| due.at <= now).count();
        self.queue.drain(..count).collect()
    }

    /// These could not be deleted; they are tried again, first of all.
    fn failed(&mut self, due: Vec<Due>) {
        self.not_before = Instant::now() + RETRY_AFTER;
        due.into_iter().rev().for_each(|due| self.queue.push_front(due));
    }
}

/// When a stored event was last written, by what it says; `None` if it says nothing that can be read.
fn last_seen(stored: &KeyValue) -> Option<jiff::Timestamp> {
    let event = Object::from_slice(&stored.value).ok()?;
    let times: [&[&str]; 4] =
        [&["metadata", "creationTimestamp"], &["lastTimestamp"], &["eventTime"], &["series", "lastObservedTime"]];
    let seen = |path: &&[&str]| event.get(path).and_then(Value::as_str)?.parse::<jiff::Timestamp>().ok();
    times.iter().filter_map(seen).max()
}

impl Registry {
    /// Deletes events whose time is over, for as long as it is polled; ends with the store.
    pub async fn expire_events(&self) {
        loop {
            let snapshot = self.store().snapshot();
            // Etcd deletes events itself, a little later, but for those that were written without a lease.
            let ttl = if self.store().keeps_time() { self.event_ttl() + LEASED } else { self.event_ttl() };
            let mut expiry = Expiry::new(ttl, &snapshot, jiff::Timestamp::now());
            let Ok(mut watch) = self.store().watch(EVENTS.as_bytes(), snapshot.revision()) else { continue };
            drop(snapshot);
            loop {
                tokio::select! {
                    biased;
                    events = watch.next() => match events {
                        Ok(events) => expiry.wrote(&events),
                        Err(WatchError::Closed) => return,
                        Err(WatchError::Lagged { .. } | WatchError::Interrupted { .. }) => break,
                    },
                    due = expiry.next() => {
                        let left = self.expire(due).await;
                        if !left.is_empty() {
                            expiry.failed(left);
                        }
                    }
                }
            }
        }
    }

    /// Deletes these. Gives back those after which the store took no more.
    async fn expire(&self, due: Vec<Due>) -> Vec<Due> {
        let mut due = due.into_iter();
        while let Some(next) = due.next() {
            // Another server may have been faster, or the event written again.
            if self.store().snapshot().get(&next.key).is_none_or(|kv| kv.mod_revision != next.revision) {
                continue;
            }
            match self.store().commit(Write::delete(next.key.clone(), next.revision).relaxed()).await {
                Ok(_) | Err(WriteError::Conflict { .. }) => {}
                Err(error) => {
                    let left: Vec<Due> = std::iter::once(next).chain(due).collect();
                    tracing::warn!(%error, count = left.len(), "events outlive their time; trying again");
                    return left;
                }
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use store::{Store, StoreConfig};

    use super::*;

    const TTL: Duration = Duration::from_secs(3600);

    /// A store with events of these names that were last seen so many seconds after the first day of 2026.
    async fn events(dir: &std::path::Path, seen: &[(&str, i64)]) -> Store {
        let store = Store::open(StoreConfig::new(dir)).unwrap();
        for (name, seconds) in seen {
            let event = serde_json::json!({ "metadata": { "creationTimestamp": at(*seconds).to_string() } });
            let write = Write::create(format!("{EVENTS}default/{name}").as_bytes(), event.to_string());
            store.commit(write).await.unwrap();
        }
        store
    }

    fn at(seconds: i64) -> jiff::Timestamp {
        "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
    }

    /// The seconds each has left, soonest first, when the server starts with its clock at this.
    fn left(store: &Store, now: jiff::Timestamp) -> Vec<(String, u64)> {
        let expiry = Expiry::new(TTL, &store.snapshot(), now);
        let name = |due: &Due| String::from_utf8_lossy(&due.key).rsplit('/').next().unwrap().to_owned();
        expiry.queue.iter().map(|due| (name(due), (due.at - expiry.not_before).as_secs())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn no_jump_of_the_clock_lets_an_event_go_early_or_stay_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let store = events(dir.path(), &[("a", 0), ("b", 1800), ("c", 3000)]).await;
        let right = [("a", 600), ("b", 2400), ("c", 3600)].map(|(name, left)| (name.to_owned(), left)).to_vec();
        let year = 365 * 24 * 3600;
        for now in [3000, 3001, 10_000, year, 80 * year] {
            assert_eq!(left(&store, at(now)), right, "the clock is at {now}");
        }
        // Set back: nothing that seems to be yet to come is older than anything else, and nothing stays longer.
        for now in [-year, -30 * year] {
            assert!(left(&store, at(now)).iter().all(|(_, left)| *left == TTL.as_secs()), "the clock is at {now}");
        }
        // One was written while the clock was ahead.
        let dir = tempfile::tempdir().unwrap();
        let store = events(dir.path(), &[("a", 0), ("ahead", 50 * year), ("b", 1800)]).await;
        let left = left(&store, at(1800));
        assert_eq!(left.iter().map(|(_, left)| *left).collect::<Vec<_>>(), [1800, 3600, 3600]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_deleted_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = events(dir.path(), &[("a", 0), ("b", 1), ("c", 9000)]).await;
        let mut expiry = Expiry::new(TTL, &store.snapshot(), at(9000));
        let due = expiry.next().await;
        assert_eq!(due.len(), 2);
        let begun = Instant::now();
        expiry.failed(due);
        assert_eq!(expiry.next().await.len(), 2);
        assert_eq!(begun.elapsed(), RETRY_AFTER);
    }
}
