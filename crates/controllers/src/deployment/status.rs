//! A deployment's status: what its sets count, and how its rollout goes.

use api::apps::v1::{DeploymentStatus, ReplicaSet, ReplicaSetStatus};

use super::{
    conditions::{self, AVAILABLE, NEW_SET_AVAILABLE, PROGRESSING, REPLICA_FAILURE, TIMED_OUT},
    plan::Rollout,
    sizes::{max_unavailable, wanted},
};

/// Counts and availability; other conditions stay.
pub(crate) fn counts(rollout: &Rollout) -> DeploymentStatus {
    let sum = |of: &dyn Fn(&ReplicaSetStatus) -> i32| -> i32 {
        rollout.sets.iter().filter_map(|set| set.status.as_ref()).map(of).sum()
    };
    let total = sum(&|s| s.replicas);
    let available = sum(&|s| s.available_replicas.unwrap_or(0));
    let updated = rollout.newest.and_then(|i| rollout.sets[i].status.as_ref()).map_or(0, |s| s.replicas);
    let non_zero = |n: i32| Some(n).filter(|n| *n != 0);
    let mut status = DeploymentStatus {
        observed_generation: rollout.deployment.metadata.generation,
        replicas: non_zero(total),
        updated_replicas: non_zero(updated),
        ready_replicas: non_zero(sum(&|s| s.ready_replicas.unwrap_or(0))),
        available_replicas: non_zero(available),
        unavailable_replicas: non_zero((total - available).max(0)),
        terminating_replicas: terminating(&rollout.sets),
        collision_count: rollout.status.collision_count,
        conditions: rollout.status.conditions.clone(),
    };
    let enough = available >= wanted(&rollout.deployment) - max_unavailable(&rollout.deployment);
    let (value, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    conditions::set(&mut status, conditions::make(AVAILABLE, value, reason, message.to_owned(), rollout.now));
    status
}

/// Unknown as long as a set has not counted its own.
fn terminating(sets: &[ReplicaSet]) -> Option<i32> {
    let counts: Vec<Option<i32>> =
        sets.iter().map(|set| set.status.as_ref().and_then(|s| s.terminating_replicas)).collect();
    if counts.is_empty() { Some(0) } else { counts.into_iter().sum() }
}

/// The same, and whether the rollout is complete, progresses, or has stood still too long.
pub(crate) fn rollout(rollout: &Rollout) -> DeploymentStatus {
    let mut status = counts(rollout);
    let deployment = &rollout.deployment;
    let now = rollout.now;
    if conditions::progress_deadline(deployment).is_none() {
        conditions::remove(&mut status, PROGRESSING);
    } else {
        let current = conditions::condition(&rollout.status, PROGRESSING).cloned();
        let stays_complete = status.replicas == status.updated_replicas
            && current.as_ref().is_some_and(|c| c.reason.as_deref() == Some(NEW_SET_AVAILABLE));
        let before = deployment.status.clone().unwrap_or_default();
        let subject = match rollout.newest {
            Some(index) => format!("ReplicaSet {:?}", rollout.sets[index].metadata.name.as_deref().unwrap_or_default()),
            None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
        };
        if stays_complete {
        } else if conditions::is_complete(deployment, &status) {
            let message = format!("{subject} has successfully progressed.");
            conditions::set(&mut status, conditions::make(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
        } else if conditions::is_progressing(&before, &status) {
            let message = format!("{subject} is progressing.");
            let mut condition = conditions::make(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
            // Progress of the same kind is an update too: it starts the clock anew.
            if let Some(current) = current.filter(|c| c.status.as_deref() == Some("True")) {
                condition.last_transition_time = current.last_transition_time;
            }
            conditions::remove(&mut status, PROGRESSING);
            conditions::set(&mut status, condition);
        } else if conditions::has_timed_out(deployment, &status, now) {
            let message = format!("{subject} has timed out progressing.");
            conditions::set(&mut status, conditions::make(PROGRESSING, "False", TIMED_OUT, message, now));
        }
    }
    match conditions::replica_failure(&rollout.sets, rollout.newest) {
        Some(failure) => conditions::set(&mut status, failure),
        None => conditions::remove(&mut status, REPLICA_FAILURE),
    }
    status
}
