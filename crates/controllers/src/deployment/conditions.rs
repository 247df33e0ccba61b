//! A deployment's conditions, in upstream's words.

use std::time::Duration;

use api::{
    apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet},
    jiff::Timestamp,
    meta::Time,
};

use super::sizes::wanted;

pub(crate) const AVAILABLE: &str = "Available";
pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(crate) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(crate) const PAUSED: &str = "DeploymentPaused";

pub(crate) fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|c| c.type_.as_deref() == Some(kind))
}

pub(crate) fn make(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Puts the condition last; one with the same status and reason stays as it is.
pub(crate) fn set(status: &mut DeploymentStatus, mut new: DeploymentCondition) {
    let kind = new.type_.clone().unwrap_or_default();
    if let Some(old) = condition(status, &kind) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time.clone();
        }
    }
    remove(status, &kind);
    status.conditions.get_or_insert_default().push(new);
}

pub(crate) fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_.as_deref() != Some(kind));
        if conditions.is_empty() {
            status.conditions = None;
        }
    }
}

/// The time a rollout may stand still; none if it may for ever.
pub(crate) fn progress_deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| Duration::from_secs(seconds.max(0) as u64))
}

/// All pods are of the newest template and available.
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = wanted(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// More new pods, fewer old ones, or more of them ready or available than before.
pub(crate) fn is_progressing(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let count = |n: Option<i32>| n.unwrap_or(0);
    let old_pods = |s: &DeploymentStatus| count(s.replicas) - count(s.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || old_pods(new) < old_pods(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

/// It has stood still for longer than it may.
pub(crate) fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let (Some(deadline), Some(condition)) = (progress_deadline(deployment), condition(status, PROGRESSING)) else {
        return false;
    };
    match condition.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => since_update(condition, now).is_some_and(|since| since > deadline),
    }
}

fn since_update(condition: &DeploymentCondition, now: Timestamp) -> Option<Duration> {
    let since = now.duration_since(condition.last_update_time.as_ref()?.0);
    Duration::try_from(since).ok().or(Some(Duration::ZERO))
}

/// When to look whether it has stood still too long; a second late, so that it has.
pub(crate) fn deadline_check(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let deadline = progress_deadline(deployment)?;
    let condition = condition(status, PROGRESSING)?;
    let done = is_complete(deployment, status) || condition.reason.as_deref() == Some(TIMED_OUT);
    if done || condition.reason.as_deref() == Some(PAUSED) {
        return None;
    }
    Some(deadline.saturating_sub(since_update(condition, now)?) + Duration::from_secs(1))
}

/// A set's failure to make or delete pods, as the deployment's; the newest set's first.
pub(crate) fn replica_failure(sets: &[ReplicaSet], newest: Option<usize>) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| {
        let failed = set
            .status
            .as_ref()?
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_.as_deref() == Some(REPLICA_FAILURE))?
            .clone();
        Some(DeploymentCondition {
            type_: failed.type_,
            status: failed.status,
            reason: failed.reason,
            message: failed.message,
            last_update_time: failed.last_transition_time.clone(),
            last_transition_time: failed.last_transition_time,
        })
    };
    newest.and_then(|index| of(&sets[index])).or_else(|| sets.iter().find_map(of))
}
