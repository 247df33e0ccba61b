//! How many pods to make, or which to delete.

use std::time::Duration;

use api::{
    apps::v1::ReplicaSet,
    conditions::{is_pod_finished, pod_condition},
    core::v1::Pod,
    is_pod_active, is_pod_available,
    jiff::Timestamp,
};
use controller_runtime::Next;

use super::{BURST_REPLICAS, ranking::pods_to_delete};

#[derive(Debug, PartialEq)]
pub(crate) enum Scale<'a> {
    Enough,
    Create(usize),
    Delete(Vec<&'a Pod>),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Plan<'a> {
    pub(crate) scale: Scale<'a>,
    pub(crate) active: Vec<&'a Pod>,
    /// Being deleted and not yet ended.
    pub(crate) terminating: usize,
    pub(crate) next: Next,
}

/// Pure. `pods` are those of the set; `related` are the active pods of all sets with the same controller.
pub(crate) fn plan<'a>(set: &ReplicaSet, pods: &'a [Pod], related: &[Pod], now: Timestamp) -> Plan<'a> {
    let wanted = set.spec.replicas.unwrap_or(1).max(0) as usize;
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let active: Vec<&Pod> = pods.iter().filter(|pod| is_pod_active(pod)).collect();
    let terminating =
        pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !is_pod_finished(pod)).count();
    let scale = if set.metadata.deletion_timestamp.is_some() || active.len() == wanted {
        Scale::Enough
    } else if active.len() < wanted {
        Scale::Create((wanted - active.len()).min(BURST_REPLICAS))
    } else {
        let surplus = (active.len() - wanted).min(BURST_REPLICAS);
        let related: Vec<&Pod> = if related.is_empty() { active.clone() } else { related.iter().collect() };
        Scale::Delete(pods_to_delete(&active, &related, surplus, now))
    };
    let next = next_availability(&active, min_ready, now).map_or(Next::Settled, Next::After);
    Plan { scale, active, terminating, next }
}

/// When the next of the ready pods will have been ready long enough.
fn next_availability(active: &[&Pod], min_ready: i32, now: Timestamp) -> Option<Duration> {
    if min_ready == 0 {
        return None;
    }
    active
        .iter()
        .filter(|pod| !is_pod_available(pod, min_ready, now))
        .filter_map(|pod| pod_condition(pod, "Ready").filter(|c| c.status == "True")?.last_transition_time.as_ref())
        .map(|since| {
            let ready = now.duration_since(since.0).unsigned_abs();
            Duration::from_secs(min_ready as u64).saturating_sub(ready).max(Duration::from_millis(1))
        })
        .min()
}
