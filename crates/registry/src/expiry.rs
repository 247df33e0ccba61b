//! Events go away an hour after they were last written. Every event has the same time to live, so those written
//! first expire first and one queue with one timer suffices. The queue is in memory, filled from what the stored events
//! say of their age and from their changes, whoever wrote them: with several servers each knows all, and deletes what
//! is still there when its time is over.

use std::{collections::VecDeque, time::Duration};

use apimachinery::Object;
use serde_json::Value;
use store::{Event, Key, KeyValue, Revision, Snapshot, WatchError, Write, WriteError};
use tokio::time::Instant;

use crate::Registry;

/// Where both groups' events lie.
const EVENTS: &str = "/registry/events/";
/// How many events are deleted before others get a turn.
const BATCH: usize = 256;

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
}

impl Expiry {
    fn new(ttl: Duration, snapshot: &Snapshot, now: jiff::Timestamp) -> Self {
        let mut stored: Vec<Due> = snapshot
            .walk(EVENTS.as_bytes(), None)
            .map(|kv| Due { at: Instant::now() + left(kv, ttl, now), key: kv.key.clone(), revision: kv.mod_revision })
            .collect();
        stored.sort_by_key(|due| due.at);
        Self { ttl, queue: stored.into() }
    }

    /// Events were written.
    fn wrote(&mut self, events: &[std::sync::Arc<Event>]) {
        let at = Instant::now() + self.ttl;
        let written = events.iter().filter_map(|event| event.current.as_ref());
        self.queue.extend(written.map(|kv| Due { at, key: kv.key.clone(), revision: kv.mod_revision }));
    }

    /// Waits for something to expire.
    async fn next(&mut self) -> Vec<Due> {
        let Some(first) = self.queue.front() else { return std::future::pending().await };
        tokio::time::sleep_until(first.at).await;
        let now = Instant::now();
        let count = self.queue.iter().take(BATCH).take_while(|due| due.at <= now).count();
        self.queue.drain(..count).collect()
    }
}

/// How long a stored event has to live.
fn left(stored: &KeyValue, ttl: Duration, now: jiff::Timestamp) -> Duration {
    let Ok(event) = Object::from_slice(&stored.value) else { return Duration::ZERO };
    let times: [&[&str]; 4] =
        [&["metadata", "creationTimestamp"], &["lastTimestamp"], &["eventTime"], &["series", "lastObservedTime"]];
    let seen = |path: &&[&str]| event.get(path).and_then(Value::as_str)?.parse::<jiff::Timestamp>().ok();
    let Some(last) = times.iter().filter_map(seen).max() else { return Duration::ZERO };
    let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    ttl.saturating_sub(age)
}

impl Registry {
    /// Deletes events whose time is over, for as long as it is polled; ends with the store.
    pub async fn expire_events(&self) {
        loop {
            let snapshot = self.store().snapshot();
            let mut expiry = Expiry::new(self.event_ttl(), &snapshot, jiff::Timestamp::now());
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
                    due = expiry.next() => self.expire(due).await,
                }
            }
        }
    }

    async fn expire(&self, due: Vec<Due>) {
        for due in due {
            // Another server may have been faster, or the event written again.
            if self.store().snapshot().get(&due.key).is_none_or(|kv| kv.mod_revision != due.revision) {
                continue;
            }
            match self.store().commit(Write::delete(due.key, due.revision).relaxed()).await {
                Ok(_) | Err(WriteError::Conflict { .. }) => {}
                Err(error) => tracing::warn!(%error, "an event outlives its time"),
            }
        }
    }
}
