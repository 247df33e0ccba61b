//! Delays that double, by key, with upstream's rule for when they start anew: after twice the longest delay without
//! trouble.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Restarts of crashing containers and pulls of images: 10 s, 20 s, … 5 min.
pub(crate) const FIRST: Duration = Duration::from_secs(10);
pub(crate) const LONGEST: Duration = Duration::from_secs(300);

#[derive(Clone, Copy)]
struct Entry {
    delay: Duration,
    updated: Instant,
}

/// Entries end with their pod (`forget_prefix`), which bounds them.
#[derive(Default)]
pub(crate) struct Backoff {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Backoff {
    /// How long is still to wait, and the whole delay, if the key is to wait after trouble at `event`.
    pub(crate) fn waiting(&self, key: &str, event: Instant) -> Option<(Duration, Duration)> {
        let entry = *self.entries.lock().get(key)?;
        if is_old(event, entry.updated) {
            return None;
        }
        let left = (event + entry.delay).saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((left, entry.delay))
    }

    /// Notes another attempt after trouble at `event`.
    pub(crate) fn next(&self, key: &str, event: Instant) {
        let now = Instant::now();
        let mut entries = self.entries.lock();
        let delay = match entries.get(key) {
            Some(entry) if !is_old(event, entry.updated) => (entry.delay * 2).min(LONGEST),
            _ => FIRST,
        };
        entries.insert(key.to_owned(), Entry { delay, updated: now });
    }

    /// When the key was last noted.
    pub(crate) fn updated(&self, key: &str) -> Option<Instant> {
        self.entries.lock().get(key).map(|entry| entry.updated)
    }

    pub(crate) fn forget(&self, key: &str) {
        self.entries.lock().remove(key);
    }

    pub(crate) fn forget_prefix(&self, prefix: &str) {
        self.entries.lock().retain(|key, _| !key.starts_with(prefix));
    }
}

fn is_old(event: Instant, updated: Instant) -> bool {
    event.saturating_duration_since(updated) > LONGEST * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_double_and_start_anew() {
        let backoff = Backoff::default();
        assert_eq!(backoff.waiting("k", Instant::now()), None);
        let mut delays = Vec::new();
        for _ in 0..8 {
            backoff.next("k", Instant::now());
            let (left, delay) = backoff.waiting("k", Instant::now()).unwrap_or_default();
            assert_eq!(left, delay);
            delays.push(delay.as_secs());
            tokio::time::advance(left).await;
            assert_eq!(backoff.waiting("k", Instant::now() - left), None);
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300, 300]);
        tokio::time::advance(LONGEST * 2 + Duration::from_secs(1)).await;
        backoff.next("k", Instant::now());
        assert_eq!(backoff.waiting("k", Instant::now()), Some((FIRST, FIRST)));
    }
}
