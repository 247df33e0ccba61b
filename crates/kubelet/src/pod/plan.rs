//! From what a pod should be and what the runtime holds of it to what to do next. Pure: no clock, no runtime.
//!
//! Back-off is not the plan's: it says what should be started, the one who acts may have to wait.

use api::{
    core::v1::{Container, Pod, PodSpec},
    resources::is_restartable_init,
};

use super::{
    ephemeral,
    labels::container_hash,
    observed::{ContainerSeen, Observed, State},
    restart::{Policy, pod_policy, should_start},
};
use crate::probe::Verdict;

/// Which list of the pod a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Role {
    Init,
    Regular,
    Ephemeral,
}

/// A container to start, by its place in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) role: Role,
    pub(crate) index: usize,
}

/// A container to stop, and why, in the words of its `Killing` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) message: String,
    /// The probe whose own grace period counts.
    pub(crate) probe: Option<ProbeKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Stop everything there is first, the sandbox included.
    pub(crate) kill_pod: bool,
    /// The attempt number of the sandbox to make.
    pub(crate) create_sandbox: Option<u32>,
    pub(crate) kill: Vec<Kill>,
    /// In this order.
    pub(crate) start: Vec<Start>,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What probes last found out, by container id. `None` while they have not.
pub(crate) trait Probes {
    fn verdict(&self, container_id: &str, kind: ProbeKind) -> Option<Verdict>;
}

pub(crate) fn plan(pod: &Pod, observed: &Observed, probes: &dyn Probes) -> Plan {
    let Some(spec) = &pod.spec else { return Plan::default() };
    match sandbox_wanted(spec, observed) {
        Some(attempt) => with_new_sandbox(pod, spec, observed, attempt),
        None => in_sandbox(pod, spec, observed, probes),
    }
}

/// The container a start names.
pub(crate) fn container_of(spec: &PodSpec, start: Start) -> Option<Container> {
    match start.role {
        Role::Init => spec.init_containers.as_ref()?.get(start.index).cloned(),
        Role::Regular => spec.containers.get(start.index).cloned(),
        Role::Ephemeral => spec.ephemeral_containers.as_ref()?.get(start.index).map(ephemeral::as_container),
    }
}

/// The attempt number of the sandbox to make, where the present one will not do.
fn sandbox_wanted(spec: &PodSpec, observed: &Observed) -> Option<u32> {
    let Some(latest) = observed.sandboxes.first() else { return Some(0) };
    let several = observed.sandboxes.iter().filter(|s| s.ready).count() > 1;
    let host_network = spec.host_network == Some(true);
    let no_address = !host_network && latest.ips.is_empty();
    (several || !latest.ready || latest.host_network != host_network || no_address).then_some(latest.attempt + 1)
}

fn with_new_sandbox(pod: &Pod, spec: &PodSpec, observed: &Observed, attempt: u32) -> Plan {
    let regular = spec.containers.iter().enumerate();
    let wanted: Vec<usize> = regular.filter(|(_, c)| should_start_anew(pod, c, observed)).map(|(i, _)| i).collect();
    let ran_once = attempt != 0 && !observed.containers.is_empty();
    let over = pod_policy(pod) == Policy::Never && ran_once && !any_own_policy(spec);
    let done = wanted.is_empty() && is_initialized(spec, observed);
    if over || done {
        return Plan { kill_pod: something_left(observed), ..Plan::default() };
    }
    // The old sandbox gives back its address even when nothing in it lives.
    let kill_pod = !observed.sandboxes.is_empty();
    let start = if spec.init_containers.as_ref().is_some_and(|i| !i.is_empty()) {
        vec![Start { role: Role::Init, index: 0 }]
    } else {
        wanted.into_iter().map(|index| Start { role: Role::Regular, index }).collect()
    };
    Plan { kill_pod, create_sandbox: Some(attempt), kill: Vec::new(), start }
}

fn something_left(observed: &Observed) -> bool {
    !observed.nothing_alive() || observed.ready_sandbox().is_some()
}

/// In a new sandbox a container that was running counts as to be started.
fn should_start_anew(pod: &Pod, container: &Container, observed: &Observed) -> bool {
    match observed.latest(&container.name) {
        Some(seen) if seen.state == State::Running => true,
        _ => should_start(pod, container, observed),
    }
}

fn any_own_policy(spec: &PodSpec) -> bool {
    spec.containers.iter().any(|c| c.restart_policy.is_some() || c.restart_policy_rules.is_some())
}

/// Whether initialization ever came to its end: some regular container was made.
fn is_initialized(spec: &PodSpec, observed: &Observed) -> bool {
    spec.containers.iter().any(|c| observed.latest(&c.name).is_some())
}

fn in_sandbox(pod: &Pod, spec: &PodSpec, observed: &Observed, probes: &dyn Probes) -> Plan {
    // They may look into initialization too.
    let ephemeral = ephemeral::new_ones(pod, spec, observed).into_iter();
    let start = ephemeral.map(|index| Start { role: Role::Ephemeral, index }).collect();
    let mut plan = Plan { start, ..Plan::default() };
    if !initialize(pod, spec, observed, probes, &mut plan) || plan.kill_pod {
        return plan;
    }
    let mut kept = 0;
    let mut start = Vec::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let this = Start { role: Role::Regular, index };
        let Some(seen) = observed.latest(&container.name).filter(|s| s.state == State::Running) else {
            if should_start(pod, container, observed) {
                start.push(this);
                kill_if_unknown(container, observed, &mut plan);
            }
            continue;
        };
        let Some((mut message, probe)) = reason_to_kill("Container", container, seen, probes) else {
            kept += 1;
            continue;
        };
        // A changed definition calls for a new container whatever the policy; a failed probe only where it restarts.
        if probe.is_none() || super::restart::policy(pod, container) != Policy::Never {
            message.push_str(", will be restarted");
            start.push(this);
        }
        plan.kill.push(Kill { id: seen.id.clone(), name: container.name.clone(), message, probe });
    }
    if kept == 0 && start.is_empty() {
        // Nothing regular will ever run again: sidecars and the sandbox go too.
        return Plan { kill_pod: something_left(observed), ..Plan::default() };
    }
    plan.start.extend(start);
    plan
}

/// Brings initialization on. Returns whether regular containers may run.
fn initialize(pod: &Pod, spec: &PodSpec, observed: &Observed, probes: &dyn Probes, plan: &mut Plan) -> bool {
    let init = spec.init_containers.as_deref().unwrap_or_default();
    if init.is_empty() {
        return true;
    }
    if spec.containers.iter().any(|c| observed.current(&c.name).is_some()) {
        keep_sidecars(pod, init, observed, probes, plan);
        return true;
    }
    // Initialization goes one by one, so the last that exists tells how far it came. Earlier ones may have been removed.
    let Some(at) = (0..init.len()).rev().find(|i| observed.current(&init[*i].name).is_some()) else {
        plan.start.push(Start { role: Role::Init, index: 0 });
        return false;
    };
    keep_sidecars(pod, &init[..at], observed, probes, plan);
    match step(pod, &init[at], observed, probes, plan) {
        Step::Done if at + 1 == init.len() => true,
        Step::Done => {
            plan.start.push(Start { role: Role::Init, index: at + 1 });
            false
        }
        Step::Again => {
            plan.start.push(Start { role: Role::Init, index: at });
            false
        }
        Step::Wait => false,
        Step::Failed => {
            *plan = Plan { kill_pod: true, ..Plan::default() };
            false
        }
    }
}

enum Step {
    Done,
    Again,
    Wait,
    Failed,
}

/// How the init container that came last stands.
fn step(pod: &Pod, container: &Container, observed: &Observed, probes: &dyn Probes, plan: &mut Plan) -> Step {
    let Some(seen) = observed.current(&container.name) else { return Step::Again };
    let sidecar = is_restartable_init(container);
    match seen.state {
        State::Created => Step::Again,
        State::Unknown => {
            kill_if_unknown(container, observed, plan);
            Step::Again
        }
        State::Running if !sidecar => Step::Wait,
        State::Running => {
            if let Some((message, probe)) = reason_to_kill("Init container", container, seen, probes) {
                plan.kill.push(Kill { id: seen.id.clone(), name: container.name.clone(), message, probe });
                return Step::Again;
            }
            let started = container.startup_probe.is_none()
                || probes.verdict(&seen.id, ProbeKind::Startup) == Some(Verdict::Success);
            if started { Step::Done } else { Step::Wait }
        }
        State::Exited if sidecar => Step::Again,
        State::Exited if seen.exit_code == 0 => Step::Done,
        State::Exited if pod_policy(pod) == Policy::Never => Step::Failed,
        State::Exited => Step::Again,
    }
}

/// Sidecars behind the point initialization has reached run on, whatever happens to them.
fn keep_sidecars(pod: &Pod, init: &[Container], observed: &Observed, probes: &dyn Probes, plan: &mut Plan) {
    if pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    for (index, container) in init.iter().enumerate().filter(|(_, c)| is_restartable_init(c)) {
        let start = Start { role: Role::Init, index };
        match observed.current(&container.name) {
            Some(seen) if seen.state == State::Running => {
                if let Some((message, probe)) = reason_to_kill("Init container", container, seen, probes) {
                    plan.kill.push(Kill { id: seen.id.clone(), name: container.name.clone(), message, probe });
                    plan.start.push(start);
                }
            }
            _ => {
                kill_if_unknown(container, observed, plan);
                plan.start.push(start);
            }
        }
    }
}

fn reason_to_kill(
    what: &str,
    container: &Container,
    seen: &ContainerSeen,
    probes: &dyn Probes,
) -> Option<(String, Option<ProbeKind>)> {
    let name = &container.name;
    let failed = |kind| probes.verdict(&seen.id, kind) == Some(Verdict::Failure);
    if seen.hash != container_hash(container) {
        Some((format!("{what} {name} definition changed"), None))
    } else if container.liveness_probe.is_some() && failed(ProbeKind::Liveness) {
        Some((format!("{what} {name} failed liveness probe"), Some(ProbeKind::Liveness)))
    } else if container.startup_probe.is_some() && failed(ProbeKind::Startup) {
        Some((format!("{what} {name} failed startup probe"), Some(ProbeKind::Startup)))
    } else {
        None
    }
}

/// A container nobody can say anything of may still hold a process.
fn kill_if_unknown(container: &Container, observed: &Observed, plan: &mut Plan) {
    if let Some(seen) = observed.latest(&container.name).filter(|s| s.state == State::Unknown) {
        let message = "Container is in \"unknown\" state, try killing it before restart".to_owned();
        plan.kill.push(Kill { id: seen.id.clone(), name: container.name.clone(), message, probe: None });
    }
}

#[cfg(test)]
mod tests;
