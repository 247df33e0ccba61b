//! Keeping a pod as its spec says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use api::{
    core::v1::{Pod, PodIP},
    jiff::{SignedDuration, Timestamp},
};
use cri::v1;
use tokio::time::Instant;

use super::{Next, RETRY, Worker, sooner};
use crate::{
    agent::about_pod,
    pod::{
        ephemeral,
        kill::{kill_one, kill_pod},
        observed::{Observed, State},
        plan::{self, Kill, Plan, ProbeKind, Role, Start, container_of},
        prepare,
        sandbox_config::sandbox_config,
        signal::Input,
        start::{self, Refusal, Starting},
        status::Verdict,
    },
};

/// Volumes that cannot be made are tried again after this, then twice as long, as upstream does.
pub(crate) const FIRST_VOLUME_DELAY: Duration = Duration::from_millis(500);
const LONGEST_VOLUME_DELAY: Duration = Duration::from_secs(122);
/// Rounds of looking and acting before others get their turn; a pod settles in three.
const MAX_ROUNDS: usize = 32;
/// What happened is told at once when one step of several took longer.
const LONG_STEP: Duration = Duration::from_millis(100);
/// How long the runtime may take to make a sandbox, network included.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(240);

/// What a round of acting came to.
struct Acted {
    progress: bool,
    again_at: Option<Instant>,
}

impl Worker {
    pub(super) async fn sync(&mut self, input: &Input) -> Next {
        if input.references_changed || input.spec_changed {
            self.holds.clear();
        }
        let mut wake = match self.check_deadline(&input.pod) {
            Ok(at) => at,
            Err(()) => return Next::Again,
        };
        if let Err(error) = self.prepare(input) {
            self.agent.events.warning(&about_pod(&input.pod), "FailedCreatePodContainer", error.clone());
            tracing::warn!(pod = self.uid, error, "the pod could not be prepared; trying again");
            return Next::Wait(Some(Instant::now() + RETRY));
        }
        if !self.make_volumes(input).await {
            self.observe_and_publish(input).await;
            let at = Instant::now() + self.volume_delay;
            self.volume_delay = (self.volume_delay * 2).min(LONGEST_VOLUME_DELAY);
            return Next::Wait(sooner(wake, Some(at)));
        }
        self.volume_delay = FIRST_VOLUME_DELAY;
        for _ in 0..MAX_ROUNDS {
            let observed = match self.agent.runtime.observe(&self.uid).await {
                Ok(observed) => observed,
                Err(error) => {
                    tracing::warn!(pod = self.uid, %error, "the runtime could not be asked; trying again");
                    return Next::Wait(Some(Instant::now() + RETRY));
                }
            };
            let plan = plan::plan(&input.pod, &observed, &self.agent.prober);
            let began = Instant::now();
            let acted = if plan.is_empty() {
                Acted { progress: false, again_at: None }
            } else {
                self.act(input, &observed, plan).await
            };
            if !acted.progress {
                self.publish(input, &observed, false);
                self.collect_garbage(&observed).await;
                wake = sooner(wake, acted.again_at);
                break;
            }
            if self.signal.is_ending() {
                return Next::Again;
            }
            if began.elapsed() > LONG_STEP {
                self.observe_and_publish(input).await;
            }
        }
        if self.is_finished() {
            return Next::Again;
        }
        Next::Wait(sooner(wake, self.volumes.as_ref().and_then(|v| v.refresh_at)))
    }

    async fn observe_and_publish(&mut self, input: &Input) {
        match self.agent.runtime.observe(&self.uid).await {
            Ok(observed) => self.publish(input, &observed, false),
            Err(error) => tracing::warn!(pod = self.uid, %error, "the runtime could not be asked"),
        }
    }

    /// When the pod's deadline comes; an error when it has passed.
    fn check_deadline(&mut self, pod: &Pod) -> Result<Option<Instant>, ()> {
        let limit = pod.spec.as_ref().and_then(|s| s.active_deadline_seconds);
        let start = self.last.as_ref().and_then(|s| s.start_time.as_ref());
        let (Some(limit), Some(start)) = (limit, start) else { return Ok(None) };
        let end = start.0 + SignedDuration::from_secs(limit);
        let left = end.duration_since(Timestamp::now());
        if left.is_positive() {
            return Ok(Some(Instant::now() + left.unsigned_abs()));
        }
        let message = "Pod was active on the node longer than the specified deadline";
        self.agent.events.normal(&about_pod(pod), "DeadlineExceeded", message);
        self.verdict =
            Some(Verdict { reason: "DeadlineExceeded".to_owned(), message: message.to_owned(), disruption: None });
        Err(())
    }

    /// Everything that costs nothing when it is there.
    fn prepare(&mut self, input: &Input) -> Result<(), String> {
        let pod = &input.pod;
        if self.last.as_ref().is_none_or(|s| s.start_time.is_none()) {
            self.publish(input, &Observed::default(), false);
        }
        prepare::directories(&self.agent, pod).map_err(|e| format!("unable to make pod data directories: {e}"))?;
        self.agent.references.hold(&self.uid, &prepare::references(pod));
        if self.sandbox.is_none() {
            let made = self.agent.cgroups.set_up_pod(pod, self.agent.config.cpu_cfs_quota);
            made.map_err(|e| {
                format!("failed to ensure that the pod: {} cgroups exist and are correctly applied: {e}", self.uid)
            })?;
        }
        Ok(())
    }

    /// Whether the volumes are there. A refresh that fails leaves what there is.
    async fn make_volumes(&mut self, input: &Input) -> bool {
        let pod = &input.pod;
        let same_meta = self.seen_meta.as_ref().is_some_and(|old| {
            old.metadata.labels == pod.metadata.labels && old.metadata.annotations == pod.metadata.annotations
        });
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        let fresh = self.volumes.as_ref().is_some_and(|v| !due(v.refresh_at)) && same_meta && !input.references_changed;
        if fresh {
            return true;
        }
        match prepare::volumes(&self.agent, pod).await {
            Ok(volumes) => {
                self.volumes = Some(volumes);
                self.seen_meta = Some(pod.clone());
                true
            }
            Err(failure) => {
                self.agent.events.warning(&about_pod(pod), "FailedMount", failure.message);
                if let Some(volumes) = &mut self.volumes {
                    volumes.refresh_at = Some(Instant::now() + LONGEST_VOLUME_DELAY);
                }
                self.volumes.is_some()
            }
        }
    }

    async fn act(&mut self, input: &Input, observed: &Observed, plan: Plan) -> Acted {
        let failed = || Acted { progress: false, again_at: Some(Instant::now() + RETRY) };
        let pod = &input.pod;
        if plan.kill_pod {
            if plan.create_sandbox.is_some() {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                self.agent.events.normal(&about_pod(pod), "SandboxChanged", message);
            }
            if let Err(error) = kill_pod(&self.agent, pod, observed, input.grace(), true).await {
                self.agent.events.warning(&about_pod(pod), "FailedKillPod", format!("error killing pod: {error}"));
                return failed();
            }
        }
        for kill in &plan.kill {
            if let Err(error) = self.kill(input, observed, kill).await {
                tracing::warn!(pod = self.uid, container = kill.name, %error, "a container could not be stopped");
                return failed();
            }
        }
        if let Some(attempt) = plan.create_sandbox {
            return if self.create_sandbox(pod, attempt).await {
                Acted { progress: true, again_at: None }
            } else {
                failed()
            };
        }
        let mut acted = Acted { progress: plan.kill_pod || !plan.kill.is_empty(), again_at: None };
        // What was killed is looked at anew before it is started.
        if !acted.progress {
            self.start_all(input, observed, &plan.start, &mut acted).await;
        }
        acted
    }

    async fn kill(&self, input: &Input, observed: &Observed, kill: &Kill) -> Result<(), cri::CriError> {
        let Some(seen) = observed.containers.iter().find(|c| c.id == kill.id) else { return Ok(()) };
        let spec = input.pod.spec.clone().unwrap_or_default();
        let container =
            spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == kill.name);
        let probe = container.and_then(|c| match kill.probe? {
            ProbeKind::Liveness => c.liveness_probe.as_ref(),
            ProbeKind::Startup => c.startup_probe.as_ref(),
            ProbeKind::Readiness => None,
        });
        let grace = probe.and_then(|p| p.termination_grace_period_seconds).unwrap_or(input.grace());
        tokio::select! {
            done = kill_one(&self.agent, &input.pod, observed, seen, Some(&kill.message), grace, true) => done,
            // The pod is to end as a whole: that stops this container too, in its own time.
            () = self.signal.hurried() => Ok(()),
        }
    }

    async fn create_sandbox(&mut self, pod: &Arc<Pod>, attempt: u32) -> bool {
        let about = about_pod(pod);
        let parent = self.agent.cgroups.pod_path(pod);
        let made = match sandbox_config(&self.agent.config, pod, attempt, parent) {
            Ok(made) => made,
            Err(error) => {
                self.agent.events.warning(
                    &about,
                    "FailedCreatePodSandBox",
                    format!("Failed to create pod sandbox: {error}"),
                );
                return false;
            }
        };
        if made.missing_cluster_dns {
            let message = "kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" \
                           policy. Falling back to \"Default\" policy.";
            self.agent.events.warning(&about, "MissingClusterDNS", message);
        }
        let request = v1::RunPodSandboxRequest { config: Some(made.config.clone()), runtime_handler: String::new() };
        let call = self.agent.runtime.service.run_pod_sandbox(request);
        let error = match tokio::time::timeout(SANDBOX_TIMEOUT, call).await {
            Ok(Ok(answer)) => {
                self.sandbox = Some((answer.pod_sandbox_id, made.config));
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the runtime did not answer within {} s", SANDBOX_TIMEOUT.as_secs()),
        };
        self.agent.events.warning(&about, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {error}"));
        false
    }

    async fn start_all(&mut self, input: &Input, observed: &Observed, starts: &[Start], acted: &mut Acted) {
        let pod = &input.pod;
        let Some(spec) = &pod.spec else { return };
        for start in starts {
            let Some(container) = container_of(spec, *start) else { continue };
            let container = &container;
            if let Some(until) = self.held(container, observed) {
                acted.again_at = sooner(acted.again_at, Some(until));
                if start.role == Role::Init && !api::resources::is_restartable_init(container) {
                    return;
                }
                continue;
            }
            let refused = match start::in_backoff(&self.agent, pod, container, observed) {
                Some(refusal) => Some(refusal),
                None => match self.start_one(input, observed, container).await {
                    Some(Ok(())) => {
                        self.waits.remove(&container.name);
                        acted.progress = true;
                        None
                    }
                    Some(Err(refusal)) => Some(refusal),
                    // The pod has to end.
                    None => {
                        acted.progress = true;
                        return;
                    }
                },
            };
            if let Some(Refusal { reason, message, retry }) = refused {
                self.waits.insert(container.name.clone(), (reason, message));
                if let Some(until) = retry.map(|after| Instant::now() + after) {
                    self.holds.insert(container.name.clone(), until);
                    acted.again_at = sooner(acted.again_at, Some(until));
                }
                // Initialization goes on in order only.
                if start.role == Role::Init && !api::resources::is_restartable_init(container) {
                    return;
                }
            }
        }
    }

    /// Until when a container that could not be started is left alone. A run that ended since lifts it.
    fn held(&mut self, container: &api::core::v1::Container, observed: &Observed) -> Option<Instant> {
        let until = *self.holds.get(&container.name)?;
        let backing_off = self.waits.get(&container.name).is_some_and(|(reason, _)| reason == "CrashLoopBackOff");
        let ran = !backing_off && observed.latest(&container.name).is_some_and(|c| c.state == State::Exited);
        if until <= Instant::now() || ran {
            self.holds.remove(&container.name);
            return None;
        }
        Some(until)
    }

    /// The containers may have ended, and the sandbox with them, before the next look; the addresses are told still.
    fn remember_addresses(&mut self, addresses: &[String]) {
        if let Some(last) = self.last.as_mut().map(Arc::make_mut) {
            last.pod_ip = addresses.first().cloned();
            last.pod_ips = Some(addresses.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
        }
    }

    /// None when the pod was told to end meanwhile.
    async fn start_one(
        &mut self,
        input: &Input,
        observed: &Observed,
        container: &api::core::v1::Container,
    ) -> Option<Result<(), Refusal>> {
        let pod = self.with_last_status(&input.pod);
        let refuse = |message: String| {
            Some(Err(Refusal { reason: "CreateContainerConfigError".to_owned(), message, retry: Some(RETRY) }))
        };
        let Some(sandbox) = observed.ready_sandbox() else { return refuse("the sandbox is gone".to_owned()) };
        let pod_ips = if sandbox.host_network { self.agent.host_ips() } else { sandbox.ips.clone() };
        self.remember_addresses(&pod_ips);
        if self.sandbox.as_ref().is_none_or(|(id, _)| *id != sandbox.id) {
            // Made by the kubelet that ran before this one.
            match sandbox_config(&self.agent.config, &pod, sandbox.attempt, self.agent.cgroups.pod_path(&pod)) {
                Ok(made) => self.sandbox = Some((sandbox.id.clone(), made.config)),
                Err(error) => return refuse(error.to_string()),
            }
        }
        let hosts_file: PathBuf = match prepare::hosts_file(&self.agent, &pod, &pod_ips) {
            Ok(file) => file,
            Err(error) => return refuse(format!("writing the hosts file: {error}")),
        };
        let target = match pod.spec.as_ref().map(|spec| ephemeral::target(spec, &container.name, observed)) {
            Some(Err(message)) => {
                let about = crate::agent::about_container(&pod, container);
                self.agent.events.warning(&about, "Failed", format!("Error: {message}"));
                return refuse(message);
            }
            found => found.and_then(Result::ok).flatten(),
        };
        let (sandbox_id, config) = self.sandbox.as_ref()?;
        let empty = Default::default();
        let starting = Starting {
            agent: &self.agent,
            pod: &pod,
            container,
            observed,
            target: target.as_deref(),
            sandbox_id,
            sandbox: config,
            pod_ips: &pod_ips,
            volumes: self.volumes.as_ref().map_or(&empty, |v| &v.paths),
            hosts_file: Some(hosts_file),
        };
        loop {
            tokio::select! {
                done = start::start(&starting) => return Some(done.map(drop)),
                () = self.signal.hurried() => {
                    if self.signal.is_ending() {
                        return None;
                    }
                }
            }
        }
    }

    /// Of dead containers the newest of each name stays, for `logs --previous`; of dead sandboxes, those whose
    /// containers stay.
    async fn collect_garbage(&self, observed: &Observed) {
        let mut kept: Vec<&str> = Vec::new();
        for seen in observed.containers.iter().filter(|c| c.state == State::Exited) {
            if !kept.contains(&seen.name.as_str()) {
                kept.push(&seen.name);
                continue;
            }
            let request = v1::RemoveContainerRequest { container_id: seen.id.clone() };
            match self.agent.runtime.service.remove_container(request).await {
                Ok(_) if !seen.log_path.is_empty() => remove_log(&seen.log_path),
                Ok(_) => {}
                Err(error) => tracing::warn!(container = seen.id, %error, "a dead container could not be removed"),
            }
        }
        for sandbox in observed.sandboxes.iter().skip(1).filter(|s| !s.ready) {
            if observed.containers.iter().any(|c| c.sandbox_id == sandbox.id) {
                continue;
            }
            let request = v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
            if let Err(error) = self.agent.runtime.service.remove_pod_sandbox(request).await {
                tracing::warn!(sandbox = sandbox.id, %error, "a dead sandbox could not be removed");
            }
        }
    }
}

fn remove_log(path: &str) {
    if let Err(error) = crate::log_rotation::remove_all(std::path::Path::new(path)) {
        tracing::warn!(path, %error, "the log of a removed container is left");
    }
}
