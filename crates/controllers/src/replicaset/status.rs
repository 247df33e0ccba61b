//! The status of a replica set: counts, and whether pods could not be made or deleted.

use api::{
    apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
    conditions::is_pod_ready,
    core::v1::Pod,
    is_pod_available,
    jiff::Timestamp,
    meta::Time,
};

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What went wrong while making the set as large as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Pure: the status of a set with these active pods, and so many that are on their way out.
pub(crate) fn status(
    set: &ReplicaSet,
    active: &[&Pod],
    terminating: usize,
    failure: Option<&Failure>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let spec = set.spec.clone();
    let template_labels = spec.template.and_then(|t| t.metadata).and_then(|m| m.labels).unwrap_or_default();
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let count = |test: &dyn Fn(&Pod) -> bool| Some(active.iter().filter(|pod| test(pod)).count() as i32);
    let old = set.status.clone().unwrap_or_default();
    ReplicaSetStatus {
        replicas: active.len() as i32,
        fully_labeled_replicas: non_zero(count(&|pod| has_labels(pod, &template_labels))),
        ready_replicas: non_zero(count(&is_pod_ready)),
        available_replicas: non_zero(count(&|pod| is_pod_available(pod, min_ready, now))),
        terminating_replicas: Some(terminating as i32),
        observed_generation: set.metadata.generation,
        conditions: conditions(old.conditions, failure, now),
    }
}

fn has_labels(pod: &Pod, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let have = pod.metadata.labels.as_ref();
    labels.iter().all(|(key, value)| have.is_some_and(|have| have.get(key) == Some(value)))
}

/// On the wire a zero of these is left out.
fn non_zero(count: Option<i32>) -> Option<i32> {
    count.filter(|count| *count != 0)
}

fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut conditions = old.unwrap_or_default();
    let failed = conditions.iter().any(|c| c.type_.as_deref() == Some(REPLICA_FAILURE));
    match failure {
        Some(failure) if !failed => conditions.push(ReplicaSetCondition {
            type_: Some(REPLICA_FAILURE.to_owned()),
            status: Some("True".to_owned()),
            reason: Some(failure.reason.to_owned()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(now)),
        }),
        Some(_) => {}
        None => conditions.retain(|c| c.type_.as_deref() != Some(REPLICA_FAILURE)),
    }
    Some(conditions).filter(|c| !c.is_empty())
}
