//! Facts about pods.

use jiff::{SignedDuration, Timestamp};

use crate::{
    conditions::{is_pod_finished, pod_condition},
    core::v1::{Pod, PodCondition, PodStatus},
};

/// Ready for at least `min_ready_seconds` at `now`. With 0, ready is enough.
pub fn is_pod_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    let Some(condition) = pod_condition(pod, "Ready").filter(|c| c.status == "True") else { return false };
    if min_ready_seconds == 0 {
        return true;
    }
    condition
        .last_transition_time
        .as_ref()
        .is_some_and(|since| now.duration_since(since.0) >= SignedDuration::from_secs(i64::from(min_ready_seconds)))
}

/// Neither ended nor being deleted: counts as a replica.
pub fn is_pod_active(pod: &Pod) -> bool {
    !is_pod_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Puts the condition in its place; its transition time stays when its status did not change. Says whether
/// anything but the probe time changed.
pub fn set_pod_condition(status: &mut PodStatus, mut condition: PodCondition) -> bool {
    let conditions = status.conditions.get_or_insert_default();
    let Some(old) = conditions.iter_mut().find(|c| c.type_ == condition.type_) else {
        conditions.push(condition);
        return true;
    };
    if old.status == condition.status {
        condition.last_transition_time = old.last_transition_time.clone();
    }
    let same = old.status == condition.status
        && old.reason == condition.reason
        && old.message == condition.message
        && old.observed_generation == condition.observed_generation;
    *old = condition;
    !same
}
