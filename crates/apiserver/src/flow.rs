//! How many requests run at once. Beyond that they wait, each user in a queue of his own and the queues served in
//! turn, so that nobody's flood drowns the others. This is a part of upstream's priority and fairness: there are no
//! priority levels, and members of `system:masters` and long-running requests are not counted.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Upstream's default: 400 reading and 200 writing.
pub(crate) const MAX_IN_FLIGHT: usize = 600;
/// Requests of one user that wait.
const MAX_WAITING_PER_USER: usize = 128;
/// Requests of all users that wait.
const MAX_WAITING: usize = 4096;
/// Who waited this long is told to come back.
const MAX_WAIT: Duration = Duration::from_secs(15);

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    queues: HashMap<String, VecDeque<oneshot::Sender<Permit>>>,
    /// Users with a queue, the next one to be served first.
    turn: VecDeque<String>,
}

/// The gate.
#[derive(Clone)]
pub(crate) struct Flow {
    state: Arc<Mutex<State>>,
    limit: usize,
}

/// The right to run; given back when dropped.
pub(crate) struct Permit {
    flow: Flow,
    armed: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self::new(MAX_IN_FLIGHT)
    }
}

impl Flow {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Arc::default(), limit }
    }

    /// Waits for its turn; `None` when the queues are full or the wait was too long.
    pub(crate) async fn enter(&self, user: &str) -> Option<Permit> {
        let receiver = {
            let mut state = self.state.lock();
            if state.running < self.limit {
                state.running += 1;
                return Some(self.permit());
            }
            let own = state.queues.get(user).map_or(0, VecDeque::len);
            if own >= MAX_WAITING_PER_USER || state.waiting >= MAX_WAITING {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            if own == 0 {
                state.turn.push_back(user.to_owned());
            }
            state.queues.entry(user.to_owned()).or_default().push_back(sender);
            state.waiting += 1;
            receiver
        };
        tokio::time::timeout(MAX_WAIT, receiver).await.ok()?.ok()
    }

    pub(crate) fn running(&self) -> usize {
        self.state.lock().running
    }

    fn permit(&self) -> Permit {
        Permit { flow: self.clone(), armed: true }
    }

    /// Hands the place to the next in turn, or frees it.
    fn leave(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let Some(next) = state.next() else {
                    state.running -= 1;
                    return;
                };
                next
            };
            // Whoever gave up waiting is passed over; its permit must not free the place a second time.
            match next.send(self.permit()) {
                Ok(()) => return,
                Err(mut permit) => permit.armed = false,
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let user = self.turn.pop_front()?;
        let queue = self.queues.get_mut(&user)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&user);
        } else {
            self.turn.push_back(user);
        }
        self.waiting -= usize::from(next.is_some());
        next
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.armed {
            self.flow.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[tokio::test]
    async fn queues_are_served_in_turn() {
        let flow = Flow::new(1);
        let first = flow.enter("a").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for (n, user) in ["a", "a", "b"].into_iter().enumerate() {
            let (entering, order) = (flow.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                let permit = entering.enter(user).await.unwrap();
                order.lock().push(user);
                drop(permit);
            });
            while flow.state.lock().waiting <= n {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        while waiting.join_next().await.is_some() {}
        assert_eq!(*order.lock(), ["a", "b", "a"]);
        assert_eq!(flow.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_queues_are_bounded() {
        let flow = Flow::new(1);
        let held = flow.enter("a").await;
        assert!(flow.enter("b").await.is_none());
        drop(held);
        assert_eq!(flow.running(), 0);
        assert!(flow.enter("b").await.is_some());
    }
}
