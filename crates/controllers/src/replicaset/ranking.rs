//! Which pods go first when there are too many. Upstream's order: what is lost costs least first.

use std::cmp::Ordering;

use api::{
    conditions::{is_pod_ready, pod_condition},
    core::v1::{ContainerStatus, Pod},
    jiff::Timestamp,
};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A pod, and how many related pods share its node.
pub(crate) struct Ranked<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) rank: usize,
}

/// The `count` of `pods` to delete. `related` are the active pods of all sets with the same controller, these pods
/// among them.
pub(crate) fn pods_to_delete<'a>(pods: &[&'a Pod], related: &[&Pod], count: usize, now: Timestamp) -> Vec<&'a Pod> {
    if count >= pods.len() {
        return pods.to_vec();
    }
    let mut ranked: Vec<Ranked<'a>> = pods
        .iter()
        .map(|pod| Ranked { pod, rank: related.iter().filter(|other| node(other) == node(pod)).count() })
        .collect();
    ranked.sort_by(|a, b| deletion_order(a, b, now));
    ranked.into_iter().take(count).map(|ranked| ranked.pod).collect()
}

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

fn deletion_order(a: &Ranked<'_>, b: &Ranked<'_>, now: Timestamp) -> Ordering {
    let (x, y) = (a.pod, b.pod);
    let assigned = |pod: &Pod| !node(pod).is_empty();
    assigned(x)
        .cmp(&assigned(y))
        .then_with(|| phase_order(x).cmp(&phase_order(y)))
        .then_with(|| is_pod_ready(x).cmp(&is_pod_ready(y)))
        .then_with(|| deletion_cost(x).cmp(&deletion_cost(y)))
        .then_with(|| b.rank.cmp(&a.rank))
        .then_with(|| {
            if is_pod_ready(x) && is_pod_ready(y) {
                younger_first(ready_since(x), ready_since(y), now, x, y)
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| restarts(y).cmp(&restarts(x)))
        .then_with(|| younger_first(created(x), created(y), now, x, y))
}

fn phase_order(pod: &Pod) -> u8 {
    match pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default() {
        "Unknown" => 1,
        "Running" => 2,
        _ => 0,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.metadata.annotations.as_ref().and_then(|a| a.get(DELETION_COST));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    Some(pod_condition(pod, "Ready").filter(|c| c.status == "True")?.last_transition_time.as_ref()?.0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    Some(pod.metadata.creation_timestamp.as_ref()?.0)
}

/// Restarts of ordinary containers, then of sidecars.
fn restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else { return (0, 0) };
    let most = |statuses: &Option<Vec<ContainerStatus>>| {
        statuses.iter().flatten().map(|status| status.restart_count).max().unwrap_or(0)
    };
    let sidecars: Vec<&str> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .filter(|container| container.restart_policy.as_deref() == Some("Always"))
        .map(|container| container.name.as_str())
        .collect();
    let of_sidecars = status
        .init_container_statuses
        .iter()
        .flatten()
        .filter(|status| sidecars.contains(&status.name.as_str()))
        .map(|status| status.restart_count)
        .max();
    (most(&status.container_statuses), of_sidecars.unwrap_or(0))
}

/// No time before any time, then younger before older; ages of one order of magnitude are the same, and the uid
/// decides, so that scaling down does not always hit the newest.
fn younger_first(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp, x: &Pod, y: &Pod) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) if a == b => Ordering::Equal,
        (Some(a), Some(b)) => {
            magnitude(now, a).cmp(&magnitude(now, b)).then_with(|| x.metadata.uid.cmp(&y.metadata.uid))
        }
    }
}

fn magnitude(now: Timestamp, then: Timestamp) -> i64 {
    let nanos = now.duration_since(then).as_nanos();
    if nanos > 0 { i64::from(nanos.ilog2()) } else { -1 }
}
