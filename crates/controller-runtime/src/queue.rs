//! Keys that wait for a reconcile. A key waits at most once, is given to one worker at a time, and comes back later
//! each time it fails; so the queue is never longer than the number of objects.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    backoff::{exponential, jittered},
    metrics::{self, QueueMetrics},
};

/// The first retry of a key comes after this, as upstream's.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// A key that keeps failing is tried this often.
const SLOWEST_RETRY: Duration = Duration::from_secs(1000);

/// A queue of keys, each at most once.
pub struct WorkQueue<K> {
    state: Mutex<State<K>>,
    ready: Notify,
    /// Something was put off, maybe to before what is waited for.
    rescheduled: Notify,
    metrics: QueueMetrics,
}

struct State<K> {
    queue: VecDeque<K>,
    /// Waiting or, if in process, to be queued again when done; since when.
    dirty: HashMap<K, Instant>,
    processing: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
    later: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    sequence: u64,
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// The name labels the queue's metrics.
    pub fn new(name: &str) -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                dirty: HashMap::new(),
                processing: HashMap::new(),
                failures: HashMap::new(),
                later: BTreeMap::new(),
                due: HashMap::new(),
                sequence: 0,
            }),
            ready: Notify::new(),
            rescheduled: Notify::new(),
            metrics: metrics::queue(name),
        }
    }

    /// Asks for a look at `key`; a look that is under way is followed by another.
    pub fn add(&self, key: K) {
        self.enqueue(&mut self.state.lock(), key);
    }

    /// Asks for a look at `key` in a while, or sooner if one is due sooner.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let due = Instant::now() + delay;
        let mut state = self.state.lock();
        if let Some(known) = state.due.get(&key).copied() {
            if known.0 <= due {
                return;
            }
            state.later.remove(&known);
        }
        state.sequence += 1;
        let slot = (due, state.sequence);
        state.later.insert(slot, key.clone());
        state.due.insert(key, slot);
        drop(state);
        self.rescheduled.notify_one();
    }

    /// Asks for another look at a key that failed, later each time.
    pub fn retry(&self, key: K) {
        let mut state = self.state.lock();
        let failures = state.failures.entry(key.clone()).or_default();
        let delay = jittered(exponential(FIRST_RETRY, SLOWEST_RETRY, *failures));
        *failures = failures.saturating_add(1);
        drop(state);
        self.metrics.retries.inc();
        self.add_after(key, delay);
    }

    /// Forgets that `key` failed.
    pub fn forget(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    pub fn failures(&self, key: &K) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// Keys that could be taken now.
    pub fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next key; it is nobody else's until [`WorkQueue::done`]. Cancel safe.
    pub async fn take(&self) -> K {
        loop {
            let ready = self.ready.notified();
            let next_due = match self.try_take() {
                Ok(key) => return key,
                Err(next_due) => next_due,
            };
            let due = async {
                match next_due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ready => {}
                () = self.rescheduled.notified() => {}
                () = due => {}
            }
        }
    }

    fn try_take(&self) -> Result<K, Option<Instant>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        while let Some((slot, _)) = state.later.first_key_value()
            && slot.0 <= now
        {
            if let Some((_, key)) = state.later.pop_first() {
                state.due.remove(&key);
                self.enqueue(&mut state, key);
            }
        }
        let Some(key) = state.queue.pop_front() else {
            return Err(state.later.first_key_value().map(|(slot, _)| slot.0));
        };
        if let Some(since) = state.dirty.remove(&key) {
            self.metrics.queue_duration.observe(since.elapsed().as_secs_f64());
        }
        state.processing.insert(key.clone(), now);
        self.metrics.depth.set(state.queue.len() as i64);
        if !state.queue.is_empty() {
            self.ready.notify_one();
        }
        Ok(key)
    }

    /// The worker is through with `key`.
    pub fn done(&self, key: &K) {
        let mut state = self.state.lock();
        if let Some(since) = state.processing.remove(key) {
            self.metrics.work_duration.observe(since.elapsed().as_secs_f64());
        }
        if state.dirty.contains_key(key) {
            state.queue.push_back(key.clone());
            self.metrics.depth.set(state.queue.len() as i64);
            drop(state);
            self.ready.notify_one();
        }
    }

    fn enqueue(&self, state: &mut State<K>, key: K) {
        if state.dirty.contains_key(&key) {
            return;
        }
        self.metrics.adds.inc();
        state.dirty.insert(key.clone(), Instant::now());
        if !state.processing.contains_key(&key) {
            state.queue.push_back(key);
            self.metrics.depth.set(state.queue.len() as i64);
            self.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_never_in_two_hands() {
        let queue = WorkQueue::new("test-once");
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.take().await, "a");
        queue.add("a");
        assert_eq!(queue.take().await, "b");
        assert_eq!(queue.len(), 0, "a is in somebody's hands");
        queue.done(&"a");
        assert_eq!(queue.take().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_of_two_delays_counts() {
        let queue = WorkQueue::new("test-delay");
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(30));
        assert_eq!(queue.take().await, "a");
        assert_eq!(start.elapsed().as_secs(), 5);
        queue.done(&"a");
        assert!(queue.state.lock().later.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_delay_more_each_time_and_can_be_forgotten() {
        let queue = WorkQueue::new("test-retry");
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            let start = Instant::now();
            queue.retry("a");
            queue.take().await;
            queue.done(&"a");
            assert!(start.elapsed() >= last / 2);
            last = start.elapsed();
        }
        assert!(last >= Duration::from_millis(80));
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiting_worker_gets_a_key() {
        let queue = std::sync::Arc::new(WorkQueue::new("test-workers"));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                crate::Tasks::new().spawn("taker", async move { queue.take().await })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in 0..3 {
            queue.add_after(key, Duration::from_millis(key));
        }
        let mut taken = Vec::new();
        for taker in takers {
            taken.extend(taker.join().await);
        }
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2]);
    }
}
