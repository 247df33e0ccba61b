//! The loop: takes in what the API tells, tries the next pod, and lets the writes run beside it. Nothing here waits
//! for a write, and nothing polls.

use std::{sync::Arc, time::Duration};

use api::core::v1::{Node, ObjectReference, Pod};
use client::{
    ApiError, Client,
    events::{EventType, SeriesRecorder},
};
use controller_runtime::{Change, Informers, Lister, Subscription, Tasks};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    binding::{self, Promise},
    cache::Cache,
    cycle::{Cycle, FitError, Rotation},
    nominated::Nominated,
    plugins::{self, ClusterEvent},
    pod_info::{DEFAULT_SCHEDULER, PodInfo},
    preemption::{self, NoPlan, Plan},
    queue::Queue,
};

/// Bindings and conditions being written at a time; the next pod is tried when one is done.
const MAX_WRITES: usize = 256;
/// A write that takes longer has failed: the API server's own limit is shorter.
const WRITE_TIMEOUT: Duration = Duration::from_secs(90);
const NO_WAKE: Duration = Duration::from_secs(3600);

/// The default scheduler of a cluster.
pub struct Scheduler {
    client: Client,
    tasks: Tasks,
    recorder: SeriesRecorder,
    node_lister: Lister<Node>,
    pod_lister: Lister<Pod>,
    queue: Queue,
    cache: Cache,
    nominated: Nominated,
    rotation: Rotation,
    rng: StdRng,
    done: mpsc::UnboundedSender<Done>,
    /// Bounded by [`MAX_WRITES`].
    writing: usize,
}

/// A write has ended.
enum Done {
    Bound(Arc<PodInfo>),
    BindingFailed(Arc<PodInfo>),
    /// The victims are told to go; the pod waits for that.
    PutOff {
        pod: Arc<PodInfo>,
        refused_by: Vec<&'static str>,
        done: bool,
    },
    Told,
}

impl Scheduler {
    /// Starts to schedule with the client's identity, until the tasks are stopped. `host` is told in events.
    pub fn start(client: Client, host: &str, tasks: &Tasks) {
        let instance = format!("{DEFAULT_SCHEDULER}-{host}");
        let (recorder, writer) = SeriesRecorder::new(client.clone(), DEFAULT_SCHEDULER, &instance);
        tasks.spawn("scheduler-events", writer.run());
        let informers = Informers::new(client.clone(), tasks.clone());
        let (done, outcomes) = mpsc::unbounded_channel();
        let scheduler = Self {
            client,
            tasks: tasks.clone(),
            recorder,
            node_lister: informers.watch(),
            pod_lister: informers.watch(),
            queue: Queue::default(),
            cache: Cache::default(),
            nominated: Nominated::default(),
            rotation: Rotation::default(),
            rng: StdRng::from_os_rng(),
            done,
            writing: 0,
        };
        tasks.spawn("scheduler", async move {
            informers.synced().await;
            scheduler.run(outcomes).await;
        });
    }

    async fn run(mut self, mut outcomes: mpsc::UnboundedReceiver<Done>) {
        let mut nodes = self.node_lister.subscribe();
        let mut pods = self.pod_lister.subscribe();
        loop {
            self.take_in(&mut nodes, &mut pods, &mut outcomes);
            if self.writing < MAX_WRITES
                && let Some(pod) = self.queue.pop(Instant::now())
            {
                self.schedule(pod);
                // The informers run on the same threads.
                tokio::task::yield_now().await;
                continue;
            }
            let wake = self.queue.next_wake().unwrap_or_else(|| Instant::now() + NO_WAKE);
            tokio::select! {
                change = nodes.next() => self.on_node(&change),
                change = pods.next() => self.on_pod(&change),
                Some(done) = outcomes.recv() => self.on_done(done),
                () = tokio::time::sleep_until(wake) => self.queue.flush_aside(Instant::now()),
            }
        }
    }

    /// All that has happened, before the next decision.
    fn take_in(
        &mut self,
        nodes: &mut Subscription,
        pods: &mut Subscription,
        outcomes: &mut mpsc::UnboundedReceiver<Done>,
    ) {
        while let Some(change) = nodes.try_next() {
            self.on_node(&change);
        }
        while let Some(change) = pods.try_next() {
            self.on_pod(&change);
        }
        while let Ok(done) = outcomes.try_recv() {
            self.on_done(done);
        }
    }

    fn happened(&mut self, event: ClusterEvent) {
        self.queue.on_event(event, plugins::ALL, Instant::now());
    }

    fn on_node(&mut self, change: &Change) {
        let Some(entry) = &change.new else {
            self.cache.remove_node(&change.key.name);
            return;
        };
        match entry.decode::<Node>() {
            Ok(node) if self.cache.set_node(&node) => {
                let added = change.old.is_none();
                self.happened(if added { ClusterEvent::NodeAdded } else { ClusterEvent::NodeChanged });
            }
            Ok(_) => {}
            Err(error) => tracing::error!(node = %change.key, %error, "node cannot be read"),
        }
    }

    fn on_pod(&mut self, change: &Change) {
        let gone = change.old.as_ref().filter(|old| change.new.as_ref().is_none_or(|n| n.header.uid != old.header.uid));
        if let Some(gone) = gone {
            self.queue.remove(&change.key);
            self.nominated.remove(&gone.header.uid);
            self.release(&gone.header.uid);
        }
        let Some(entry) = &change.new else { return };
        let pod = match entry.decode::<Pod>() {
            Ok(pod) => Arc::new(PodInfo::new(&pod)),
            Err(error) => {
                tracing::error!(pod = %change.key, %error, "pod cannot be read");
                return;
            }
        };
        if pod.terminal {
            self.leave_queue(&pod);
            self.release(&pod.uid);
        } else if pod.node_name.is_some() {
            self.leave_queue(&pod);
            self.cache.set_pod(pod);
            self.happened(ClusterEvent::PodAdded);
        } else if self.is_ours(&pod) && !self.cache.is_assumed(&pod.uid) {
            self.nominated.see(&pod);
            self.queue.put(pod);
        } else if pod.terminating {
            self.leave_queue(&pod);
        }
    }

    fn leave_queue(&mut self, pod: &PodInfo) {
        self.queue.remove(&pod.key);
        self.nominated.remove(&pod.uid);
    }

    fn is_ours(&self, pod: &PodInfo) -> bool {
        pod.scheduler == DEFAULT_SCHEDULER && !pod.gated && !pod.terminating
    }

    fn release(&mut self, uid: &str) {
        if self.cache.remove_pod(uid) {
            self.happened(ClusterEvent::PodRemoved);
        }
    }

    fn schedule(&mut self, pod: Arc<PodInfo>) {
        let nodes = self.cache.snapshot();
        let cycle = Cycle { pod: &pod, nodes: &nodes, nominated: &self.nominated };
        let error = match cycle.choose(&mut self.rotation, &mut self.rng) {
            Ok(node) => return self.place(pod, node),
            Err(error) if error.nodes() == 0 => return self.refuse(&pod, error.to_string(), error, Promise::Keep),
            Err(error) => error,
        };
        match preemption::plan(&cycle, &error) {
            Ok(plan) => self.preempt(pod, error, plan),
            Err(why) => {
                let withdrawn = matches!(why, NoPlan::Useless(_)) && self.nominated.node_of(&pod.uid).is_some();
                let promise = if withdrawn { Promise::Withdraw } else { Promise::Keep };
                self.refuse(&pod, format!("{error} {why}"), error, promise);
            }
        }
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: String) {
        self.cache.assume(pod.clone(), &node);
        self.nominated.remove(&pod.uid);
        let (client, recorder, done) = (self.client.clone(), self.recorder.clone(), self.done.clone());
        self.writing += 1;
        self.tasks.spawn("bind", async move {
            let bound = tokio::time::timeout(WRITE_TIMEOUT, binding::bind(&client, &pod, &node)).await;
            let outcome = match bound {
                Ok(Ok(())) => {
                    let note = format!("Successfully assigned {} to {node}", pod.key);
                    recorder.event(&reference(&pod), None, EventType::Normal, "Scheduled", "Binding", note);
                    Done::Bound(pod)
                }
                Ok(Err(error)) => {
                    tracing::warn!(pod = %pod.key, node, %error, "binding failed");
                    Done::BindingFailed(pod)
                }
                Err(_) => {
                    tracing::warn!(pod = %pod.key, node, "binding took too long");
                    Done::BindingFailed(pod)
                }
            };
            // The scheduler is gone only when all is.
            done.send(outcome).ok();
        });
    }

    /// Puts pods of lower priority off a node. The pod waits in flight until that is written.
    fn preempt(&mut self, pod: Arc<PodInfo>, error: FitError, plan: Plan) {
        let message = error.to_string();
        self.recorder.event(&reference(&pod), None, EventType::Warning, "FailedScheduling", "Scheduling", &*message);
        for loser in self.nominated.behind(&pod, &plan.node) {
            self.withdraw(loser);
        }
        self.nominated.set(&pod, &plan.node);
        let (client, recorder, done) = (self.client.clone(), self.recorder.clone(), self.done.clone());
        self.writing += 1;
        self.tasks.spawn("preempt", async move {
            let work = async {
                for victim in &plan.victims {
                    if binding::put_off(&client, victim, &pod.scheduler).await? {
                        let note = format!("Preempted by pod {} on node {}", pod.uid, plan.node);
                        let (victim, by) = (reference(victim), reference(&pod));
                        recorder.event(&victim, Some(&by), EventType::Normal, "Preempted", "Preempting", note);
                    }
                }
                let promise = Promise::Node(plan.node.clone());
                binding::mark_unschedulable(&client, &pod, &message, &promise).await
            };
            let written = match tokio::time::timeout(WRITE_TIMEOUT, work).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::warn!(pod = %pod.key, node = plan.node, %error, "preemption failed");
                    false
                }
                Err(_) => {
                    tracing::warn!(pod = %pod.key, node = plan.node, "preemption took too long");
                    false
                }
            };
            done.send(Done::PutOff { pod, refused_by: error.refused_by, done: written }).ok();
        });
    }

    /// A more important pod takes the node that was promised to this one.
    fn withdraw(&mut self, pod: Arc<PodInfo>) {
        self.nominated.remove(&pod.uid);
        let (client, done) = (self.client.clone(), self.done.clone());
        self.writing += 1;
        self.tasks.spawn("withdraw-nomination", async move {
            let written = tokio::time::timeout(WRITE_TIMEOUT, binding::withdraw(&client, &pod)).await;
            if let Ok(Err(error)) = written
                && !error.is_not_found()
            {
                tracing::warn!(pod = %pod.key, %error, "nomination could not be withdrawn");
            }
            done.send(Done::Told).ok();
        });
    }

    fn refuse(&mut self, pod: &Arc<PodInfo>, message: String, error: FitError, promise: Promise) {
        self.queue.refuse(&pod.key, error.refused_by, Instant::now());
        let note = message.clone();
        self.recorder.event(&reference(pod), None, EventType::Warning, "FailedScheduling", "Scheduling", note);
        let said = pod.refused.as_ref().is_some_and(|(reason, said)| reason == "Unschedulable" && *said == message);
        if said && promise == Promise::Keep {
            return;
        }
        if promise == Promise::Withdraw {
            self.nominated.remove(&pod.uid);
        }
        let (client, pod, done) = (self.client.clone(), pod.clone(), self.done.clone());
        self.writing += 1;
        self.tasks.spawn("mark-unschedulable", async move {
            let marking = binding::mark_unschedulable(&client, &pod, &message, &promise);
            if let Ok(Err(error)) = tokio::time::timeout(WRITE_TIMEOUT, marking).await
                && !error.is_not_found()
            {
                tracing::warn!(pod = %pod.key, %error, "condition could not be written");
            }
            done.send(Done::Told).ok();
        });
    }

    fn on_done(&mut self, done: Done) {
        self.writing -= 1;
        match done {
            Done::Bound(pod) => self.queue.remove(&pod.key),
            Done::BindingFailed(pod) => {
                self.cache.forget(&pod.uid);
                self.nominated.see(&pod);
                self.queue.retry(&pod.key, Instant::now());
                self.happened(ClusterEvent::PodRemoved);
            }
            Done::PutOff { pod, refused_by, done: true } => self.queue.refuse(&pod.key, refused_by, Instant::now()),
            Done::PutOff { pod, done: false, .. } => {
                self.nominated.remove(&pod.uid);
                self.queue.retry(&pod.key, Instant::now());
            }
            Done::Told => {}
        }
    }
}

fn reference(pod: &PodInfo) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.key.namespace.to_string()),
        name: Some(pod.key.name.to_string()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}
