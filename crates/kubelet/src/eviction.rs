//! Pods evicted before the node runs out of memory, disk or processes, or because they use more local storage than
//! they may. First what nobody needs is removed; then one pod at a time goes, in upstream's order.

mod limits;
mod message;
mod pressure;
mod rank;
mod reading;
mod threshold;
mod usage;

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::core::v1::Pod;
use cri::v1;
use tokio::time::Instant;

use crate::{
    agent::{Agent, about_node, about_pod},
    image_gc, log_rotation,
    pod::{signal::Signal as PodSignal, status::Verdict},
};
pub(crate) use pressure::{Pressure, is_critical};
pub(crate) use reading::space;
pub(crate) use threshold::Condition;
pub use threshold::{Signal, Threshold, ThresholdError};

use reading::Observation;
use usage::PodUsage;

/// Between two looks; upstream has the same.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long the next look waits for an evicted pod to be gone.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Counting files may take at most this share of the time: a walk is followed by so many times its length of rest.
const REST_AFTER_COUNTING: u32 = 20;

pub(crate) const REASON: &str = "Evicted";

type Met = (Threshold, Observation);

#[derive(Default)]
struct Manager {
    /// When each condition was last seen to hold.
    last_seen: HashMap<Condition, Instant>,
    /// Before then nothing is counted for limits.
    rest_until: Option<Instant>,
}

/// Looks after what the node has left, for ever.
pub(crate) async fn keep_room(agent: Arc<Agent>) {
    let mut manager = Manager::default();
    loop {
        match manager.synchronize(&agent).await {
            evicted if evicted.is_empty() => tokio::time::sleep(INTERVAL).await,
            evicted => {
                let ended = futures::future::join_all(evicted.iter().map(|signal| signal.ended()));
                if tokio::time::timeout(CLEANUP_TIMEOUT, ended).await.is_err() {
                    tracing::warn!("an evicted pod takes long to end");
                }
            }
        }
    }
}

impl Manager {
    /// One look. Answers whom it evicted.
    async fn synchronize(&mut self, agent: &Agent) -> Vec<Arc<PodSignal>> {
        let Some(met) = thresholds_met(agent).await else { return Vec::new() };
        self.tell_conditions(agent, &met);
        let active: Vec<Arc<PodSignal>> = agent.table.all().into_iter().filter(|s| s.is_active()).collect();
        let over_limit = self.evict_over_limits(agent, &active).await;
        if !over_limit.is_empty() || met.is_empty() {
            return over_limit;
        }
        // Memory first: without it nothing else can be mended.
        let by_urgency = |m: &&Met| m.0.signal;
        let Some((threshold, _)) = met.iter().min_by_key(by_urgency) else { return Vec::new() };
        let resource = threshold.signal.resource();
        tracing::warn!(resource, "the node is short of something; reclaiming");
        let message = format!("Attempting to reclaim {resource}");
        agent.events.warning(&about_node(&agent.config.node_name), "EvictionThresholdMet", message);
        if threshold.signal.condition() == Condition::Disk && reclaimed(agent).await {
            return Vec::new();
        }
        self.evict_one(agent, active, threshold, &met).await.into_iter().collect()
    }

    /// A condition holds as long as it was seen within the transition period.
    fn tell_conditions(&mut self, agent: &Agent, met: &[Met]) {
        let now = Instant::now();
        self.last_seen.extend(met.iter().map(|(t, _)| (t.signal.condition(), now)));
        let period = agent.config.housekeeping.pressure_transition_period;
        self.last_seen.retain(|_, at| *at == now || now.duration_since(*at) < period);
        agent.pressure.set(self.last_seen.keys().copied().collect::<BTreeSet<Condition>>());
    }

    async fn evict_over_limits(&mut self, agent: &Agent, active: &[Arc<PodSignal>]) -> Vec<Arc<PodSignal>> {
        let limited: Vec<&Arc<PodSignal>> = active.iter().filter(|s| limits::has_limit(&s.pod())).collect();
        if limited.is_empty() || self.rest_until.is_some_and(|at| Instant::now() < at) {
            return Vec::new();
        }
        let pods: Vec<Arc<Pod>> = limited.iter().map(|s| s.pod()).collect();
        let began = Instant::now();
        let usage = usage::of(agent, &pods, true).await;
        self.rest_until = Some(Instant::now() + began.elapsed() * REST_AFTER_COUNTING);
        let mut evicted = Vec::new();
        for (signal, pod) in limited.into_iter().zip(&pods) {
            let used = usage.get(pod.metadata.uid.as_deref().unwrap_or_default());
            if let Some(message) = used.and_then(|used| limits::exceeded(pod, used))
                && evict(agent, signal, pod, message, false)
            {
                evicted.push(signal.clone());
            }
        }
        evicted
    }

    async fn evict_one(
        &self,
        agent: &Agent,
        active: Vec<Arc<PodSignal>>,
        threshold: &Threshold,
        met: &[Met],
    ) -> Option<Arc<PodSignal>> {
        let mut pods: Vec<Arc<Pod>> = active.iter().map(|s| s.pod()).collect();
        let counted = threshold.signal.condition() == Condition::Disk;
        let usage: HashMap<String, PodUsage> = usage::of(agent, &pods, counted).await;
        rank::rank(&mut pods, threshold.signal, &usage);
        for pod in &pods {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let Some(signal) = agent.table.get(uid) else { continue };
            let message = message::of(threshold.signal, pod, usage.get(uid), met);
            if evict(agent, &signal, pod, message, true) {
                return Some(signal);
            }
        }
        tracing::warn!("no pod can be evicted; the node stays short");
        None
    }
}

/// None where it cannot be known.
async fn thresholds_met(agent: &Agent) -> Option<Vec<Met>> {
    let thresholds = agent.config.housekeeping.eviction_hard.clone();
    if thresholds.is_empty() {
        return Some(Vec::new());
    }
    let nodefs: PathBuf = agent.config.root_dir.clone();
    let imagefs = match agent.images.filesystem().await {
        Ok(path) => path,
        Err(error) => {
            tracing::debug!(%error, "the file system of images is not known; looking at the node's own");
            nodefs.clone()
        }
    };
    let looking = agent.tasks.spawn_blocking("eviction-look", move || {
        let observed = reading::observe(&thresholds, &nodefs, &imagefs);
        reading::met(&thresholds, &observed)
    });
    looking.join().await
}

/// Whether removing what nobody needs was enough.
async fn reclaimed(agent: &Agent) -> bool {
    for signal in agent.table.all().iter().filter(|s| s.has_ended()) {
        let uid = signal.pod().metadata.uid.clone().unwrap_or_default();
        if let Err(error) = remove_dead(agent, &uid).await {
            tracing::warn!(pod = uid, %error, "the containers of a pod that ended could not be removed");
        }
    }
    if let Err(error) = image_gc::delete_unused(agent).await {
        tracing::warn!(%error, "images could not be removed");
    }
    thresholds_met(agent).await.is_some_and(|met| met.is_empty())
}

/// Removes what the runtime still holds of a pod that has ended for good, its logs included.
async fn remove_dead(agent: &Agent, uid: &str) -> Result<(), cri::CriError> {
    let observed = agent.runtime.observe(uid).await?;
    for sandbox in &observed.sandboxes {
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        agent.runtime.service.remove_pod_sandbox(request).await?;
    }
    for container in observed.containers.iter().filter(|c| !c.log_path.is_empty()) {
        if let Err(error) = log_rotation::remove_all(Path::new(&container.log_path)) {
            tracing::warn!(path = container.log_path, %error, "the log of a removed container is left");
        }
    }
    Ok(())
}

/// Whether the pod goes; a critical one stays.
fn evict(agent: &Agent, signal: &PodSignal, pod: &Pod, message: String, pressure: bool) -> bool {
    if is_critical(pod) {
        tracing::warn!(pod = pod.metadata.name, "a critical pod is not evicted");
        return false;
    }
    agent.events.warning(&about_pod(pod), REASON, message.clone());
    let verdict = Verdict { reason: REASON.to_owned(), disruption: pressure.then(|| message.clone()), message };
    signal.update(|input| input.evicted = Some(verdict));
    true
}
