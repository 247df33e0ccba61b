//! Statuses of single containers.

use std::collections::HashMap;

use api::{
    core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus,
    },
    resources::is_restartable_init,
};

use super::{Facts, seconds};
use crate::pod::{
    observed::{ContainerSeen, State},
    restart::should_start,
};

/// Why a container that should be started is not, by its name: a reason and a message.
pub(crate) type WaitReasons = HashMap<String, (String, String)>;

pub(crate) fn init_statuses(
    facts: &Facts<'_>,
    containers: &[Container],
    old: Option<&[ContainerStatus]>,
) -> Vec<ContainerStatus> {
    containers.iter().map(|c| status(facts, c, old, true)).collect()
}

/// Sorted by name, as upstream shows them.
pub(crate) fn regular_statuses(
    facts: &Facts<'_>,
    containers: &[Container],
    old: Option<&[ContainerStatus]>,
) -> Vec<ContainerStatus> {
    let mut statuses: Vec<ContainerStatus> = containers.iter().map(|c| status(facts, c, old, false)).collect();
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    statuses
}

/// Sorted by name. They are never ready, and nothing asks whether they have started.
pub(crate) fn ephemeral_statuses(
    facts: &Facts<'_>,
    containers: &[Container],
    old: Option<&[ContainerStatus]>,
) -> Vec<ContainerStatus> {
    let mut statuses = regular_statuses(facts, containers, old);
    for status in &mut statuses {
        status.ready = false;
        status.started = None;
    }
    statuses
}

fn status(facts: &Facts<'_>, container: &Container, old: Option<&[ContainerStatus]>, init: bool) -> ContainerStatus {
    let old = old.and_then(|o| o.iter().find(|s| s.name == container.name));
    let mut seen = facts.observed.containers.iter().filter(|c| c.name == container.name);
    let mut status = match seen.next() {
        Some(latest) => from_seen(facts, container, latest),
        None => never_seen(facts, container, old),
    };
    if let Some(before) = seen.next().filter(|c| c.state == State::Exited) {
        status.last_state = Some(terminated(facts, before));
    } else if status.last_state.is_none() && status.restart_count > 0 {
        // The runtime has forgotten the earlier run; the API has not.
        status.last_state = old.and_then(|o| o.last_state.clone());
    }
    wait(facts, container, init, &mut status);
    health(facts, container, old, init, &mut status);
    status
}

/// A container that waits says why, and what it ended with moves to the past.
fn wait(facts: &Facts<'_>, container: &Container, init: bool, status: &mut ContainerStatus) {
    let latest = facts.observed.latest(&container.name);
    let done =
        init && !is_restartable_init(container) && latest.is_some_and(|c| c.state == State::Exited && c.exit_code == 0);
    if facts.over || done || !should_start(facts.pod, container, facts.observed) {
        return;
    }
    let Some((reason, message)) = facts.waits.get(&container.name) else { return };
    if status.state.as_ref().is_some_and(|s| s.terminated.is_some()) {
        status.last_state = status.state.take();
    }
    let message = Some(message.clone()).filter(|m| !m.is_empty());
    status.state = Some(waiting(reason, message));
}

fn health(
    facts: &Facts<'_>,
    container: &Container,
    old: Option<&ContainerStatus>,
    init: bool,
    status: &mut ContainerStatus,
) {
    let running = status.state.as_ref().is_some_and(|s| s.running.is_some());
    let id = facts.observed.latest(&container.name).map(|c| c.id.as_str()).unwrap_or_default();
    if init && !is_restartable_init(container) {
        status.started = Some(false);
        let ended = status.state.as_ref().and_then(|s| s.terminated.as_ref());
        status.ready = ended.is_some_and(|t| t.exit_code == 0);
        return;
    }
    // Until probes have spoken, the same container is what it was.
    let same = old.filter(|o| o.container_id.is_some() && o.container_id == status.container_id);
    let was_started = same.is_some_and(|o| o.started == Some(true));
    let started = running && facts.health.started(container, id).unwrap_or(was_started);
    status.started = Some(started);
    status.ready = started && facts.health.ready(container, id).unwrap_or(same.is_some_and(|o| o.ready));
}

fn from_seen(facts: &Facts<'_>, container: &Container, seen: &ContainerSeen) -> ContainerStatus {
    let state = match seen.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: seen.started_at.map(seconds) }),
            ..ContainerState::default()
        },
        State::Exited => terminated(facts, seen),
        State::Created => waiting(default_reason(facts), None),
        State::Unknown => waiting("ContainerStatusUnknown", None),
    };
    ContainerStatus {
        name: container.name.clone(),
        container_id: Some(format!("{}://{}", facts.runtime_name, seen.id)),
        image: seen.image.clone(),
        image_id: seen.image_id.clone(),
        restart_count: i32::try_from(seen.restart_count).unwrap_or(i32::MAX),
        resources: container.resources.clone().filter(|r| r.requests.is_some() || r.limits.is_some()),
        state: Some(state),
        ..ContainerStatus::default()
    }
}

fn never_seen(facts: &Facts<'_>, container: &Container, old: Option<&ContainerStatus>) -> ContainerStatus {
    if let Some(old) = old.filter(|o| o.state.as_ref().is_some_and(|s| s.terminated.is_some())) {
        return old.clone();
    }
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        restart_count: old.map(|o| o.restart_count).unwrap_or_default(),
        last_state: old.and_then(|o| o.last_state.clone()),
        state: Some(waiting(default_reason(facts), None)),
        ..ContainerStatus::default()
    };
    // It ran, and the runtime knows nothing of it: it is gone, and nobody saw how.
    if let Some(old) = old.filter(|o| o.state.as_ref().is_some_and(|s| s.running.is_some())) {
        let gone = ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(
                    "The container could not be located when the pod was deleted.  The container used to be Running"
                        .to_owned(),
                ),
                container_id: old.container_id.clone(),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        };
        if facts.over || facts.pod.metadata.deletion_timestamp.is_some() {
            status.state = Some(gone);
        } else {
            status.last_state = Some(gone);
            status.restart_count = old.restart_count + 1;
        }
    } else if facts.over {
        // The kubelet stopped the pod before this one was ever started.
        status.state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some("The container could not be located when the pod was terminated".to_owned()),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        });
    }
    status
}

fn default_reason(facts: &Facts<'_>) -> &'static str {
    let init = facts.pod.spec.as_ref().and_then(|s| s.init_containers.as_ref()).is_some_and(|i| !i.is_empty());
    if init { "PodInitializing" } else { "ContainerCreating" }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }),
        ..ContainerState::default()
    }
}

fn terminated(facts: &Facts<'_>, seen: &ContainerSeen) -> ContainerState {
    let reason = match seen.reason.as_str() {
        "" if seen.exit_code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(format!("{}://{}", facts.runtime_name, seen.id)),
            exit_code: seen.exit_code,
            reason: Some(reason.to_owned()),
            message: Some(seen.message.clone()).filter(|m| !m.is_empty()),
            started_at: seen.started_at.map(seconds),
            finished_at: seen.finished_at.map(seconds),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}
