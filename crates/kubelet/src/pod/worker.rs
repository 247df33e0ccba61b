//! The life of one pod on this node: kept as it should be, then ended, then cleared away. One task for each pod; it
//! sleeps until something rings.

mod end;
mod sync;

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::{
    core::v1::{Pod, PodStatus},
    jiff::Timestamp,
};
use cri::v1::PodSandboxConfig;
use tokio::time::Instant;

use super::{
    observed::{Observed, State},
    prepare::Volumes,
    signal::{Input, Signal},
    status::{Facts, OWN_CONDITIONS, Verdict, WaitReasons, pod_status, rejected_status},
    writer::StatusSlot,
};
use crate::{agent::Agent, probe::Target};

/// How long to wait before trying again what failed for a reason nobody announces the end of.
const RETRY: Duration = Duration::from_secs(10);

enum Stage {
    /// Kept as its spec says.
    Running,
    /// Being stopped.
    Ending,
    /// Nothing of it runs; what it leaves is its record in the API and the logs.
    Ended,
}

enum Next {
    /// Look again when something rings, or then.
    Wait(Option<Instant>),
    /// Go on at once.
    Again,
    /// The pod is forgotten.
    Done,
}

pub(crate) struct Worker {
    agent: Arc<Agent>,
    signal: Arc<Signal>,
    uid: String,
    stage: Stage,
    slot: StatusSlot,
    /// The status last put.
    last: Option<Arc<PodStatus>>,
    waits: WaitReasons,
    /// Containers that are not tried again before then, unless something they depend on changed.
    holds: HashMap<String, Instant>,
    volumes: Option<Volumes>,
    volume_delay: Duration,
    /// The sandbox that is up, and what it was made from.
    sandbox: Option<(String, PodSandboxConfig)>,
    verdict: Option<Verdict>,
    /// Labels and annotations the volumes were last made with.
    seen_meta: Option<Arc<Pod>>,
    delete_sent: bool,
}

impl Worker {
    pub(crate) fn new(agent: Arc<Agent>, signal: Arc<Signal>) -> Self {
        let pod = signal.pod();
        let (slot, task) = StatusSlot::new(agent.client.clone(), &pod, signal.told.clone());
        agent.tasks.spawn("pod-status", task);
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            last: pod.status.clone().map(Arc::new),
            agent,
            signal,
            stage: Stage::Running,
            slot,
            waits: WaitReasons::new(),
            holds: HashMap::new(),
            volumes: None,
            volume_delay: sync::FIRST_VOLUME_DELAY,
            sandbox: None,
            verdict: None,
            seen_meta: None,
            delete_sent: false,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let input = self.signal.read();
            if self.verdict.is_none() {
                self.verdict = input.verdict.clone().or_else(|| input.evicted.clone());
            }
            if matches!(self.stage, Stage::Running)
                && (input.is_ending() || self.verdict.is_some() || self.is_finished())
            {
                self.stage = Stage::Ending;
            }
            let next = match self.stage {
                Stage::Running => self.sync(&input).await,
                Stage::Ending => self.end(&input).await,
                Stage::Ended => self.clear(&input).await,
            };
            match next {
                Next::Again => {}
                Next::Done => return,
                Next::Wait(None) => self.signal.rung().await,
                Next::Wait(Some(at)) => tokio::select! {
                    () = self.signal.rung() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn is_finished(&self) -> bool {
        let phase = self.last.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// The pod with the status this kubelet last decided on; conditions of others as the API has them.
    fn with_last_status(&self, pod: &Pod) -> Pod {
        let mut pod = pod.clone();
        if let Some(last) = &self.last {
            let mut status = PodStatus::clone(last);
            let own = OWN_CONDITIONS;
            let mut conditions: Vec<_> = status.conditions.take().unwrap_or_default();
            conditions.retain(|c| own.contains(&c.type_.as_str()));
            let api = pod.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
            let foreign = api.into_iter().filter(|c| !own.contains(&c.type_.as_str()));
            status.conditions = Some(foreign.chain(conditions).collect());
            pod.status = Some(status);
        }
        pod
    }

    /// Tells the API how the pod is, and keeps its probes as what runs needs them.
    fn publish(&mut self, input: &Input, observed: &Observed, over: bool) {
        let pod = self.with_last_status(&input.pod);
        if !over && !matches!(self.stage, Stage::Ending) {
            self.watch_probes(&pod, observed);
        }
        if let Some(verdict) = &input.verdict {
            let status = Arc::new(rejected_status(&pod, verdict));
            self.decide(&status);
            self.slot.put(status);
            return;
        }
        let status = Arc::new(pod_status(&Facts {
            pod: &pod,
            observed,
            waits: &self.waits,
            health: &self.agent.prober,
            runtime_name: &self.agent.runtime.name,
            host_ips: &self.agent.host_ips(),
            over,
            verdict: self.verdict.as_ref(),
            now: Timestamp::now(),
        }));
        self.decide(&status);
        if !input.gone {
            self.slot.put(status);
        }
    }

    /// Before the API is told, so that whoever reads it there is not ahead of what this kubelet answers.
    fn decide(&mut self, status: &Arc<PodStatus>) {
        self.last = Some(status.clone());
        self.signal.decide(status.clone());
    }

    fn watch_probes(&self, pod: &Pod, observed: &Observed) {
        let Some(spec) = &pod.spec else { return };
        let host = self.agent.host_ips();
        let address = match observed.ready_sandbox() {
            Some(_) if spec.host_network == Some(true) => host.first(),
            Some(sandbox) => sandbox.ips.first(),
            None => None,
        };
        let running = observed.containers.iter().filter(|c| c.state == State::Running);
        let alive = running.clone().map(|c| c.id.as_str()).collect();
        self.agent.prober.keep(&self.uid, &alive);
        let told = pod.status.as_ref();
        for seen in running {
            let sidecars = spec.init_containers.iter().flatten().filter(|c| api::resources::is_restartable_init(c));
            let Some(container) = spec.containers.iter().chain(sidecars).find(|c| c.name == seen.name) else {
                continue;
            };
            let statuses = told
                .into_iter()
                .flat_map(|s| s.container_statuses.iter().flatten().chain(s.init_container_statuses.iter().flatten()));
            let was_started = statuses
                .into_iter()
                .any(|s| s.started == Some(true) && s.container_id.as_deref().is_some_and(|id| id.ends_with(&seen.id)));
            self.agent.prober.watch(&Target {
                uid: &self.uid,
                container,
                id: &seen.id,
                address: address.map(String::as_str).unwrap_or_default(),
                started_at: seen.started_at.unwrap_or(seen.created_at),
                was_started,
                about: &crate::agent::about_container(pod, container),
            });
        }
    }
}

/// The sooner of two moments, where there are any.
fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
