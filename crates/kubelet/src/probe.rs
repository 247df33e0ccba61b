//! Probes: one task for each probe of each running container, and what they last found out.

mod check;
mod grpc;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::{
    core::v1::{Container, ObjectReference, Probe},
    jiff::Timestamp,
};
use client::events::Recorder;
use controller_runtime::{Task, Tasks};
use cri::RuntimeService;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Interval};

use crate::pod::{
    plan::{ProbeKind, Probes},
    status::Health,
};
use check::Outcome;

/// Between the first readiness probe, when it fails, and the next; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    Failure,
}

/// A container whose probes are to run.
pub(crate) struct Target<'a> {
    pub(crate) uid: &'a str,
    pub(crate) container: &'a Container,
    pub(crate) id: &'a str,
    pub(crate) address: &'a str,
    pub(crate) started_at: Timestamp,
    /// It passed its startup probe before this kubelet began.
    pub(crate) was_started: bool,
    pub(crate) about: &'a ObjectReference,
}

struct Running {
    uid: String,
    tasks: Vec<Task>,
}

/// What probes found out, by container id.
#[derive(Default)]
struct Board {
    verdicts: Mutex<HashMap<(String, ProbeKind), Verdict>>,
    changed: Notify,
}

type Verdicts = Arc<Board>;

/// Told the uid of a pod whose probes say something new.
type Wake = Arc<dyn Fn(&str) + Send + Sync>;

pub(crate) struct Prober {
    service: Arc<dyn RuntimeService>,
    tasks: Tasks,
    events: Recorder,
    wake: Wake,
    verdicts: Verdicts,
    /// By container id.
    running: Mutex<HashMap<String, Running>>,
}

impl Prober {
    pub(crate) fn new(service: Arc<dyn RuntimeService>, tasks: Tasks, events: Recorder, wake: Wake) -> Self {
        Self { service, tasks, events, wake, verdicts: Verdicts::default(), running: Mutex::default() }
    }

    /// Begins the probes of a container, once.
    pub(crate) fn watch(&self, target: &Target<'_>) {
        let container = target.container;
        let kinds = [
            (ProbeKind::Startup, &container.startup_probe),
            (ProbeKind::Liveness, &container.liveness_probe),
            (ProbeKind::Readiness, &container.readiness_probe),
        ];
        let mut running = self.running.lock();
        if running.contains_key(target.id) || kinds.iter().all(|(_, probe)| probe.is_none()) {
            return;
        }
        if target.was_started && container.startup_probe.is_some() {
            self.verdicts.verdicts.lock().insert((target.id.to_owned(), ProbeKind::Startup), Verdict::Success);
        }
        let mut tasks = Vec::new();
        for (kind, probe) in kinds {
            let Some(probe) = probe.clone() else { continue };
            if kind == ProbeKind::Startup && target.was_started {
                continue;
            }
            let worker = Worker {
                kind,
                probe,
                uid: target.uid.to_owned(),
                id: target.id.to_owned(),
                container: container.clone(),
                address: target.address.to_owned(),
                started_at: target.started_at,
                about: target.about.clone(),
                service: self.service.clone(),
                events: self.events.clone(),
                wake: self.wake.clone(),
                verdicts: self.verdicts.clone(),
            };
            tasks.push(self.tasks.spawn("probe", worker.run()));
        }
        running.insert(target.id.to_owned(), Running { uid: target.uid.to_owned(), tasks });
    }

    /// Ends the probes of the pod's containers that are not among `alive`, and forgets what they said.
    pub(crate) fn keep(&self, uid: &str, alive: &HashSet<&str>) {
        self.running.lock().retain(|id, running| {
            let kept = running.uid != uid || alive.contains(id.as_str());
            if !kept {
                running.tasks.iter().for_each(Task::abort);
                self.verdicts.verdicts.lock().retain(|(of, _), _| of != id);
            }
            kept
        });
    }
}

impl Probes for Prober {
    fn verdict(&self, container_id: &str, kind: ProbeKind) -> Option<Verdict> {
        self.verdicts.verdicts.lock().get(&(container_id.to_owned(), kind)).copied()
    }
}

impl Health for Prober {
    fn started(&self, container: &Container, id: &str) -> Option<bool> {
        if container.startup_probe.is_none() {
            return Some(true);
        }
        self.verdict(id, ProbeKind::Startup).map(|v| v == Verdict::Success)
    }

    fn ready(&self, container: &Container, id: &str) -> Option<bool> {
        if container.readiness_probe.is_none() {
            return Some(true);
        }
        self.verdict(id, ProbeKind::Readiness).map(|v| v == Verdict::Success)
    }
}

struct Worker {
    kind: ProbeKind,
    probe: Probe,
    uid: String,
    id: String,
    container: Container,
    address: String,
    started_at: Timestamp,
    about: ObjectReference,
    service: Arc<dyn RuntimeService>,
    events: Recorder,
    wake: Wake,
    verdicts: Verdicts,
}

impl Worker {
    async fn run(self) {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default))
        };
        let period = seconds(self.probe.period_seconds, 10);
        let age = Duration::try_from(Timestamp::now().duration_since(self.started_at)).unwrap_or_default();
        let delay = seconds(self.probe.initial_delay_seconds, 0).saturating_sub(age);
        tokio::time::sleep(delay).await;
        self.wait_for_startup().await;
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut outcome = self.check().await;
        if self.kind == ProbeKind::Readiness && !outcome.is_success() {
            self.tell(outcome);
            outcome = self.hurry(&mut ticks).await;
        }
        let (mut last, mut run) = (None, 0);
        loop {
            let verdict = self.tell(outcome);
            run = if last == Some(verdict) { run + 1 } else { 1 };
            last = Some(verdict);
            let needed = match verdict {
                Verdict::Success => self.probe.success_threshold,
                Verdict::Failure => self.probe.failure_threshold.or(Some(3)),
            };
            if run >= needed.unwrap_or(1).max(1) {
                self.conclude(verdict);
                let over = match self.kind {
                    ProbeKind::Startup => true,
                    // The container is about to be killed; a new one gets a new worker.
                    ProbeKind::Liveness => verdict == Verdict::Failure,
                    ProbeKind::Readiness => false,
                };
                if over {
                    return;
                }
            }
            ticks.tick().await;
            outcome = self.check().await;
        }
    }

    /// A container that has just started is seldom ready at once and mostly soon after: until the next tick it is
    /// asked again and again, ever less often. Failures in between are nobody's news.
    async fn hurry(&self, ticks: &mut Interval) -> Outcome {
        let mut pause = FIRST_PAUSE;
        loop {
            let on_time = tokio::select! {
                _ = ticks.tick() => true,
                () = tokio::time::sleep(pause) => false,
            };
            let outcome = self.check().await;
            if on_time || outcome.is_success() {
                return outcome;
            }
            pause *= 2;
        }
    }

    async fn check(&self) -> Outcome {
        check::check(&*self.service, &self.probe, &self.container, &self.id, &self.address).await
    }

    /// Nothing else is asked of a container before its startup probe has passed.
    async fn wait_for_startup(&self) {
        if self.kind == ProbeKind::Startup || self.container.startup_probe.is_none() {
            return;
        }
        let key = (self.id.clone(), ProbeKind::Startup);
        loop {
            let mut changed = std::pin::pin!(self.verdicts.changed.notified());
            changed.as_mut().enable();
            if self.verdicts.verdicts.lock().get(&key) == Some(&Verdict::Success) {
                return;
            }
            changed.await;
        }
    }

    fn conclude(&self, verdict: Verdict) {
        let before = self.verdicts.verdicts.lock().insert((self.id.clone(), self.kind), verdict);
        if before != Some(verdict) {
            self.verdicts.changed.notify_waiters();
            (self.wake)(&self.uid);
        }
    }

    fn tell(&self, outcome: Outcome) -> Verdict {
        let what = match self.kind {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        };
        match outcome {
            Outcome::Success => Verdict::Success,
            Outcome::Warning(text) => {
                self.events.warning(&self.about, "ProbeWarning", format!("{what} probe warning: {text}"));
                Verdict::Success
            }
            Outcome::Failure(text) => {
                self.events.warning(&self.about, "Unhealthy", format!("{what} probe failed: {text}"));
                Verdict::Failure
            }
            Outcome::Error(text) => {
                let message = format!("{what} probe errored and resulted in unknown state: {text}");
                self.events.warning(&self.about, "Unhealthy", message);
                Verdict::Failure
            }
        }
    }
}
