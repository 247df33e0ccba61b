//! What all tasks and callers of a store on etcd have in common.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    calls::Calls,
    config::EtcdConfig,
    keys::Keys,
    leases::Leases,
    quorum::Question,
    trouble::{EtcdTrouble, ReadError},
    waiters::Waiters,
};
use crate::{
    health::{EtcdAlarm, EtcdHealth, Writes},
    hub::Hub,
    revision::Revision,
};

/// A change that is due and does not come for so long is asked for by writing the beacon.
const BEACON_AFTER: Duration = Duration::from_millis(10);
/// Who waits looks again after twice the time, up to this.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// If nothing at all comes for so long although something is due, changes are asked for at another member.
const FEED_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Shared {
    pub(crate) config: EtcdConfig,
    pub(crate) keys: Keys,
    pub(crate) calls: Calls,
    pub(crate) leases: Leases,
    pub(crate) hub: Arc<Hub>,
    pub(crate) waiters: Waiters,
    pub(crate) questions: mpsc::Sender<Question>,
    /// The beacon is to be written.
    pub(crate) light: Notify,
    /// The feed is to begin anew, with another member.
    pub(crate) refollow: Notify,
    pub(crate) chores: mpsc::Sender<Chore>,
    /// The newest revision that etcd is known to have.
    due: AtomicU64,
    gauges: Mutex<Gauges>,
    over: OnceLock<EtcdTrouble>,
    stopped: OnceLock<()>,
}

/// How a revision comes to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comes {
    /// It changed something below the prefix.
    ByItself,
    /// It may have changed something else, of which the watch is silent.
    WithBeacon,
}

/// What the feed is asked to do besides following.
pub(crate) enum Chore {
    Compact(Revision, oneshot::Sender<()>),
}

#[derive(Default)]
struct Gauges {
    /// Whom, and since when.
    following: Option<(Arc<str>, Instant)>,
    quorum_seen: Option<Instant>,
    behind: Option<Instant>,
    alarms: Vec<EtcdAlarm>,
    trouble: Option<EtcdTrouble>,
    no_space: bool,
}

impl Shared {
    pub(crate) fn new(
        config: EtcdConfig,
        calls: Calls,
        hub: Arc<Hub>,
        questions: mpsc::Sender<Question>,
        chores: mpsc::Sender<Chore>,
    ) -> Shared {
        let due = AtomicU64::new(hub.state().revision.0);
        let gauges = Mutex::new(Gauges { quorum_seen: Some(Instant::now()), ..Gauges::default() });
        Shared {
            keys: Keys::new(&config),
            config,
            calls,
            leases: Leases::default(),
            hub,
            waiters: Waiters::default(),
            questions,
            light: Notify::new(),
            refollow: Notify::new(),
            chores,
            due,
            gauges,
            over: OnceLock::new(),
            stopped: OnceLock::new(),
        }
    }

    pub(crate) fn reached(&self) -> Revision {
        self.hub.state().revision
    }

    pub(crate) fn due(&self) -> Revision {
        Revision(self.due.load(Ordering::SeqCst))
    }

    /// Etcd has come to this revision.
    pub(crate) fn is_due(&self, revision: Revision) {
        self.due.fetch_max(revision.0, Ordering::SeqCst);
        let mut gauges = self.gauges.lock();
        // Looked at under the lock: who publishes takes it afterwards.
        if self.reached() < revision {
            gauges.behind.get_or_insert_with(Instant::now);
        }
    }

    /// The state was published; who waited for it goes on.
    pub(crate) fn published(&self, revision: Revision) {
        self.waiters.wake(revision);
        let mut gauges = self.gauges.lock();
        if revision >= self.due() {
            gauges.behind = None;
        }
        if matches!(gauges.trouble, Some(EtcdTrouble::Unreadable { .. })) {
            gauges.trouble = None;
        }
    }

    /// Waits until the state has come to `wanted`, which etcd has. Changes below the prefix come by themselves; for
    /// all others the beacon is written, which comes after them.
    pub(crate) async fn reach(&self, wanted: Revision, until: Instant, comes: Comes) -> Result<(), EtcdTrouble> {
        self.is_due(wanted);
        let Some(mut waiting) = self.waiters.wait(&self.hub, wanted) else { return Ok(()) };
        let (mut pause, mut last, mut moved) = (BEACON_AFTER, self.reached(), Instant::now());
        loop {
            let look = (Instant::now() + pause).min(until);
            if tokio::time::timeout_at(look, waiting.done()).await.is_ok() {
                return Ok(());
            }
            let reached = self.reached();
            if let Some(trouble) = self.over() {
                return Err(trouble.clone());
            }
            if Instant::now() >= until {
                return Err(EtcdTrouble::Behind { wanted, reached });
            }
            if reached > last {
                (last, moved) = (reached, Instant::now());
            } else {
                // Who begins to follow has all that came before yet to hear.
                if comes == Comes::WithBeacon && self.follows_for() >= BEACON_AFTER {
                    self.light.notify_one();
                }
                if moved.elapsed() >= FEED_PATIENCE {
                    self.refollow.notify_one();
                    moved = Instant::now();
                }
            }
            pause = (pause * 2).min(LOOK_EVERY);
        }
    }

    /// The revision of a quorum, asked after this call began.
    pub(crate) async fn quorum(&self, until: Instant) -> Result<Revision, EtcdTrouble> {
        let (answer, answered) = oneshot::channel();
        let stopped = || EtcdTrouble::Behind { wanted: self.due(), reached: self.reached() };
        let ask = async {
            self.questions.send(Question { answer }).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        let silent = |_| self.trouble().unwrap_or_else(stopped);
        tokio::time::timeout_at(until, ask).await.map_err(silent)?
    }

    /// Whom the feed follows from now on; says whether it followed somebody before.
    pub(crate) fn follows(&self, endpoint: Option<Arc<str>>) -> bool {
        let mut gauges = self.gauges.lock();
        // Whoever is followed tells the value that cannot be read once more.
        if endpoint.is_some() && !matches!(gauges.trouble, Some(EtcdTrouble::Unreadable { .. })) {
            gauges.trouble = None;
        }
        let before = gauges.following.is_some();
        gauges.following = endpoint.map(|endpoint| (endpoint, Instant::now()));
        before
    }

    fn follows_for(&self) -> Duration {
        self.gauges.lock().following.as_ref().map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    pub(crate) fn quorum_answered(&self) {
        self.gauges.lock().quorum_seen = Some(Instant::now());
    }

    pub(crate) fn set_alarms(&self, alarms: Vec<EtcdAlarm>) {
        let mut gauges = self.gauges.lock();
        gauges.no_space = alarms.iter().any(|alarm| matches!(alarm, EtcdAlarm::NoSpace { .. }));
        if alarms != gauges.alarms {
            tracing::warn!(?alarms, "the alarms of etcd have changed");
        }
        gauges.alarms = alarms;
    }

    pub(crate) fn set_no_space(&self, no_space: bool) {
        self.gauges.lock().no_space = no_space;
    }

    pub(crate) fn is_in_trouble(&self, trouble: &EtcdTrouble) {
        let mut gauges = self.gauges.lock();
        // What follows from a value that cannot be read says less than that it cannot.
        let says_as_much = trouble.is_final() || matches!(trouble, EtcdTrouble::Unreadable { .. });
        if says_as_much || !matches!(gauges.trouble, Some(EtcdTrouble::Unreadable { .. })) {
            gauges.trouble = Some(trouble.clone());
        }
        drop(gauges);
        if trouble.is_final() {
            self.end(trouble);
        }
    }

    pub(crate) fn trouble(&self) -> Option<EtcdTrouble> {
        self.gauges.lock().trouble.clone()
    }

    /// Nothing is told any more, and nothing is taken.
    fn end(&self, trouble: &EtcdTrouble) {
        if self.over.set(trouble.clone()).is_ok() {
            tracing::error!(trouble = trouble.chain(), "this store is over: start again to serve what etcd has now");
            self.hub.close();
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.set(()).ok();
        self.hub.close();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    pub(crate) fn over(&self) -> Option<&EtcdTrouble> {
        self.over.get()
    }

    /// Whether a read can be answered at all.
    pub(crate) fn readable(&self) -> Result<(), ReadError> {
        match self.over() {
            _ if self.is_stopped() => Err(ReadError::Stopped),
            Some(trouble) => Err(ReadError::Unavailable(trouble.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn health(&self) -> (Writes, EtcdHealth) {
        let gauges = self.gauges.lock();
        let quorum_seen = gauges.quorum_seen.map(|seen| seen.elapsed());
        let has_quorum = quorum_seen.is_some_and(|ago| ago <= EtcdHealth::QUORUM_PATIENCE);
        let writes = match self.over() {
            _ if self.is_stopped() => Writes::Stopped,
            None if gauges.no_space => Writes::NoSpace,
            None if has_quorum => Writes::Ok,
            _ => Writes::Unavailable,
        };
        let health = EtcdHealth {
            cluster: self.calls.members.cluster(),
            following: gauges.following.as_ref().map(|(endpoint, _)| endpoint.to_string()),
            quorum_seen,
            behind: gauges.behind.map(|since| since.elapsed()),
            alarms: gauges.alarms.clone(),
            endpoints: self.calls.members.health(),
            trouble: gauges.trouble.as_ref().map(EtcdTrouble::chain),
            is_over: self.over().is_some(),
        };
        (writes, health)
    }
}
