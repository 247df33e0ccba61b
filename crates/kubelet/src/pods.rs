//! The pods of this node: who watches over which, and how news reaches them.

mod admission;
mod orphans;
mod sysctls;

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use api::{
    core::v1::Pod,
    resources::{QosClass, pod_requests, qos_class},
};
use controller_runtime::{Change, Entry, Tasks};
use cri::v1;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;

use crate::{
    agent::{Agent, about_pod},
    pod::{labels, signal::Signal, worker::Worker},
};
pub(crate) use orphans::adopt_orphans;
pub use sysctls::NotNamespaced;
pub(crate) use sysctls::check_patterns;

/// How soon a broken stream of runtime events is opened again.
const EVENTS_RETRY: Duration = Duration::from_secs(1);
/// How soon a worker that panicked is replaced.
const PANIC_RETRY: Duration = Duration::from_secs(10);

/// Workers by the uid of their pod.
#[derive(Default)]
pub(crate) struct PodTable {
    signals: Mutex<HashMap<String, Arc<Signal>>>,
}

impl PodTable {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Signal>> {
        self.signals.lock().get(uid).cloned()
    }

    pub(crate) fn ring(&self, uid: &str) {
        if let Some(signal) = self.get(uid) {
            signal.ring();
        }
    }

    pub(crate) fn ring_all(&self) {
        self.all().iter().for_each(|s| s.ring());
    }

    pub(crate) fn all(&self) -> Vec<Arc<Signal>> {
        self.signals.lock().values().cloned().collect()
    }

    /// A worker has done everything there was to do.
    pub(crate) fn forget(&self, uid: &str) {
        self.signals.lock().remove(uid);
    }

    /// Whether the signal was put there; another worker may have the pod already.
    pub(crate) fn insert(&self, uid: &str, signal: &Arc<Signal>) -> bool {
        let mut signals = self.signals.lock();
        if signals.contains_key(uid) {
            return false;
        }
        signals.insert(uid.to_owned(), signal.clone());
        true
    }
}

/// Follows the API's pods of this node, for ever.
pub(crate) async fn follow_pods(agent: Arc<Agent>) {
    let mut changes = agent.pods.subscribe();
    loop {
        let change = changes.next().await;
        handle(&agent, &change);
    }
}

fn handle(agent: &Arc<Agent>, change: &Change) {
    let old = change.old.as_ref().map(|e| e.header.uid.clone());
    let new = change.new.as_ref().map(|e| e.header.uid.clone());
    if let Some(old) = old.filter(|uid| new.as_ref() != Some(uid))
        && let Some(signal) = agent.table.get(&old)
    {
        signal.update(|input| input.gone = true);
        weigh_burstable(agent);
    }
    if let Some(entry) = &change.new {
        appear(agent, entry);
    }
}

fn appear(agent: &Arc<Agent>, entry: &Entry) {
    let pod: Arc<Pod> = match entry.decode() {
        Ok(pod) => Arc::new(pod),
        Err(error) => {
            tracing::error!(%error, "a pod of this node cannot be read, and is left alone");
            return;
        }
    };
    if let Some(signal) = agent.table.get(&entry.header.uid) {
        signal.show(pod);
        return;
    }
    let verdict = admission::refuse(agent, &pod);
    if let Some(verdict) = &verdict {
        let message = verdict.message.trim_start_matches(admission::REJECTED);
        agent.events.warning(&about_pod(&pod), &verdict.reason, message);
    }
    let signal = Arc::new(Signal::new(pod, verdict));
    begin(agent, &entry.header.uid, signal);
    weigh_burstable(agent);
}

/// Burstable pods together weigh what they ask for, against the guaranteed ones beside them.
fn weigh_burstable(agent: &Agent) {
    let pods = agent.table.all().into_iter().map(|s| s.pod());
    let live = pods.filter(|p| qos_class(p) == QosClass::Burstable && !api::conditions::is_pod_finished(p));
    let asked = live.filter_map(|p| pod_requests(p.spec.as_ref()?).get("cpu").map(|q| q.milli())).sum();
    if let Err(error) = agent.cgroups.weigh_burstable(asked) {
        tracing::warn!(%error, "the weight of burstable pods could not be set");
    }
}

/// Gives the pod a worker, if it has none.
fn begin(agent: &Arc<Agent>, uid: &str, signal: Arc<Signal>) {
    if agent.table.insert(uid, &signal) {
        agent.tasks.spawn("pod", keep_working(agent.clone(), signal));
    }
}

/// A worker that panics is replaced: what it knew is in the runtime and in the API.
async fn keep_working(agent: Arc<Agent>, signal: Arc<Signal>) {
    while AssertUnwindSafe(Worker::new(agent.clone(), signal.clone()).run()).catch_unwind().await.is_err() {
        let uid = signal.pod().metadata.uid.clone().unwrap_or_default();
        tracing::error!(pod = uid, "the worker of a pod panicked; beginning anew");
        tokio::time::sleep(PANIC_RETRY).await;
    }
}

/// Rings the workers of pods to whose containers something happened, for ever.
pub(crate) async fn follow_runtime(agent: Arc<Agent>) {
    loop {
        match agent.runtime.service.get_container_events(v1::GetEventsRequest {}).await {
            Ok(mut events) => {
                // What happened while nobody listened.
                agent.table.ring_all();
                while let Some(Ok(event)) = events.next().await {
                    ring_for(&agent.table, &event);
                }
                tracing::debug!("the stream of runtime events ended; opening it again");
            }
            Err(error) => tracing::warn!(%error, "the runtime's events cannot be read; trying again"),
        }
        tokio::time::sleep(EVENTS_RETRY).await;
    }
}

fn ring_for(table: &PodTable, event: &v1::ContainerEventResponse) {
    let sandbox = event.pod_sandbox_status.as_ref();
    let uid = sandbox.and_then(|s| s.metadata.as_ref()).map(|m| m.uid.as_str());
    let container = event.containers_statuses.first().and_then(|c| c.labels.get(labels::POD_UID));
    match uid.or(container.map(String::as_str)) {
        Some(uid) => table.ring(uid),
        None => table.ring_all(),
    }
}

/// Starts the followers.
pub(crate) fn start(agent: &Arc<Agent>, tasks: &Tasks) {
    tasks.spawn("pods", follow_pods(agent.clone()));
    tasks.spawn("runtime-events", follow_runtime(agent.clone()));
}
