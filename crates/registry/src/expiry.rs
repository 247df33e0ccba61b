//! Events go away an hour after they were last written. Every event has the same time to live, so those written
//! first expire first and one queue with one timer suffices. The queue is in memory: a restart fills it again from
//! what the stored events say of their age.

use std::{collections::VecDeque, time::Duration};

use apimachinery::Object;
use parking_lot::Mutex;
use serde_json::Value;
use store::{Key, KeyValue, Revision, Snapshot, Write, WriteError};
use tokio::{sync::Notify, time::Instant};

use crate::Registry;

/// Where both groups' events lie.
pub(crate) const EVENTS: &str = "/registry/events/";
/// How many events are deleted before others get a turn.
const BATCH: usize = 256;

struct Due {
    at: Instant,
    key: Key,
    /// A later write has a place of its own in the queue.
    revision: Revision,
}

/// What is to expire, soonest first. As long as the events of the last hour, which is what the store holds anyway.
pub(crate) struct Expiry {
    ttl: Duration,
    queue: Mutex<VecDeque<Due>>,
    filled: Notify,
}

impl Expiry {
    pub(crate) fn new(ttl: Duration, snapshot: &Snapshot, now: jiff::Timestamp) -> Self {
        let mut stored: Vec<Due> = snapshot
            .walk(EVENTS.as_bytes(), None)
            .map(|kv| Due { at: Instant::now() + left(kv, ttl, now), key: kv.key.clone(), revision: kv.mod_revision })
            .collect();
        stored.sort_by_key(|due| due.at);
        Self { ttl, queue: Mutex::new(stored.into()), filled: Notify::new() }
    }

    /// An event was written.
    pub(crate) fn wrote(&self, stored: &KeyValue) {
        let due = Due { at: Instant::now() + self.ttl, key: stored.key.clone(), revision: stored.mod_revision };
        self.queue.lock().push_back(due);
        self.filled.notify_one();
    }

    /// Waits for something to expire.
    async fn next(&self) -> Vec<Due> {
        loop {
            let filled = self.filled.notified();
            let first = self.queue.lock().front().map(|due| due.at);
            match first {
                None => filled.await,
                Some(at) => {
                    tokio::time::sleep_until(at).await;
                    let now = Instant::now();
                    let mut queue = self.queue.lock();
                    let count = queue.iter().take(BATCH).take_while(|due| due.at <= now).count();
                    return queue.drain(..count).collect();
                }
            }
        }
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
    /// Deletes events whose time is over, for as long as it is polled.
    pub async fn expire_events(&self) {
        loop {
            for due in self.expiry().next().await {
                let write = Write::delete(due.key, due.revision).relaxed();
                match self.store().commit(write).await {
                    Ok(_) | Err(WriteError::Conflict { .. }) => {}
                    Err(error) => tracing::warn!(%error, "an event outlives its time"),
                }
            }
        }
    }
}
