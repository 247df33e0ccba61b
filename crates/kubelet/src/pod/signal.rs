//! How the rest of the kubelet speaks to the worker of a pod: a slot with the newest state, and a bell.

use std::sync::Arc;

use api::{
    core::v1::{Pod, PodCondition, PodStatus},
    meta::ObjectMeta,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    status::{OWN_CONDITIONS, Verdict},
    told::Told,
};

/// Seconds an evicted pod has to end, as upstream gives it.
const EVICTION_GRACE: i64 = 1;

/// What the worker has to know. The newest counts; nothing queues up.
#[derive(Clone)]
pub(crate) struct Input {
    /// As the API last showed it.
    pub(crate) pod: Arc<Pod>,
    /// It is no longer in the API.
    pub(crate) gone: bool,
    /// This node does not take the pod.
    pub(crate) verdict: Option<Verdict>,
    /// Why the pod is evicted; it has hardly any time to end.
    pub(crate) evicted: Option<Verdict>,
    /// Something the pod refers to changed.
    pub(crate) references_changed: bool,
    /// What the pod should be changed.
    pub(crate) spec_changed: bool,
}

pub(crate) struct Signal {
    input: Mutex<Input>,
    /// What the API was told of the status.
    pub(crate) told: Arc<Told>,
    /// The status that was last decided on; the API shows it later, and the copies of its pods later still.
    decided: Mutex<Option<Arc<PodStatus>>>,
    bell: Notify,
    /// Rung when the pod has to end, or sooner than it was told.
    hurry: Notify,
    /// Nothing of the pod runs any more, nor will.
    ended: watch::Sender<bool>,
}

impl Signal {
    pub(crate) fn new(pod: Arc<Pod>, verdict: Option<Verdict>) -> Self {
        let told = Arc::new(Told::new(&pod));
        let input = Input { pod, gone: false, verdict, evicted: None, references_changed: false, spec_changed: false };
        let (bell, hurry) = (Notify::new(), Notify::new());
        let (input, decided) = (Mutex::new(input), Mutex::default());
        Self { input, told, decided, bell, hurry, ended: watch::Sender::new(false) }
    }

    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Changes the state and rings; also hurries what must not go on when the pod is to end.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Input)) {
        let mut input = self.input.lock();
        let before = (input.grace(), input.is_ending());
        change(&mut input);
        let hurry = input.is_ending() && before != (input.grace(), true);
        drop(input);
        if hurry {
            self.hurry.notify_waiters();
            self.hurry.notify_one();
        }
        self.ring();
    }

    /// Takes the pod as the API now shows it. What this kubelet itself wrote rings nobody.
    pub(crate) fn show(&self, pod: Arc<Pod>) {
        self.told.shown(&pod);
        let mut input = self.input.lock();
        let spec_changed = input.pod.spec != pod.spec;
        if !spec_changed && meaning(&input.pod) == meaning(&pod) && foreign(&input.pod).eq(foreign(&pod)) {
            input.pod = pod;
            return;
        }
        drop(input);
        self.update(|input| {
            input.pod = pod;
            input.spec_changed |= spec_changed;
        });
    }

    pub(crate) fn read(&self) -> Input {
        let mut input = self.input.lock();
        let copy = input.clone();
        input.references_changed = false;
        input.spec_changed = false;
        copy
    }

    pub(crate) fn pod(&self) -> Arc<Pod> {
        self.input.lock().pod.clone()
    }

    pub(crate) fn decide(&self, status: Arc<PodStatus>) {
        *self.decided.lock() = Some(status);
    }

    /// None before the worker has looked.
    pub(crate) fn decided(&self) -> Option<Arc<PodStatus>> {
        self.decided.lock().clone()
    }

    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Returns when the pod has to end, or sooner than before.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.input.lock().is_ending()
    }

    pub(crate) fn mark_ended(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Returns when nothing of the pod runs any more.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as we do.
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// Whether something of the pod runs, or is to run.
    pub(crate) fn is_active(&self) -> bool {
        let input = self.input.lock();
        let turned_away = input.verdict.is_some() || input.evicted.is_some();
        !turned_away && !self.has_ended() && !api::conditions::is_pod_finished(&input.pod)
    }
}

/// The metadata without what every write changes.
fn meaning(pod: &Pod) -> ObjectMeta {
    ObjectMeta { resource_version: None, managed_fields: None, ..pod.metadata.clone() }
}

/// Conditions somebody else writes, which readiness may wait for.
fn foreign(pod: &Pod) -> impl Iterator<Item = &PodCondition> {
    let all = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    all.filter(|c| !OWN_CONDITIONS.contains(&c.type_.as_str()))
}

impl Input {
    pub(crate) fn is_ending(&self) -> bool {
        self.gone || self.verdict.is_some() || self.evicted.is_some() || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Seconds the containers have to end, at least one.
    pub(crate) fn grace(&self) -> i64 {
        if self.evicted.is_some() {
            return EVICTION_GRACE;
        }
        let meta = &self.pod.metadata;
        let own = self.pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(30);
        let asked = match meta.deletion_timestamp {
            Some(_) => meta.deletion_grace_period_seconds.unwrap_or(own),
            // It was taken out of the API by force.
            None if self.gone => 1,
            None => own,
        };
        asked.max(1)
    }
}
