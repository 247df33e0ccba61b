//! What a node's silence means: its conditions and its taints.

use std::time::Duration;

use api::{
    conditions::node_condition,
    core::v1::{Node, NodeCondition, Taint},
    jiff::Timestamp,
    meta::Time,
};

/// A node that has been silent for so long is not known to be ready, unless told otherwise.
pub const NODE_MONITOR_GRACE: Duration = Duration::from_secs(50);
/// The same for a node that has never spoken.
pub(crate) const STARTUP_GRACE: Duration = Duration::from_secs(60);

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Conditions the kubelet writes, and nobody knows when it is silent.
const OF_KUBELET: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Taints that keep pods from being scheduled, by condition, its value, and key.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// Pure: the conditions of a node that has been silent too long; none if they say so already.
pub(crate) fn silent_conditions(node: &Node, now: Timestamp) -> Option<Vec<NodeCondition>> {
    let mut conditions = node.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let before = conditions.clone();
    for kind in OF_KUBELET {
        match conditions.iter_mut().find(|c| c.type_ == kind) {
            None => conditions.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
            Some(condition) if condition.status != "Unknown" => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
        }
    }
    (conditions != before).then_some(conditions)
}

/// Pure: the taints the node should have; none if it has them. Taints of others stay. `evict` is false while every
/// node is silent: then it is we who are cut off, and no pod is sent away.
pub(crate) fn taints(node: &Node, evict: bool, now: Timestamp) -> Option<Vec<Taint>> {
    let current = node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
    let condition = |kind: &str| node_condition(node, kind).map(|c| c.status.as_str()).unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = BY_CONDITION
        .into_iter()
        .filter(|(kind, value, _)| condition(kind) == *value)
        .map(|(_, _, key)| (key, NO_SCHEDULE))
        .collect();
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    match condition("Ready") {
        "False" if evict => wanted.push((NOT_READY, NO_EXECUTE)),
        "Unknown" if evict => wanted.push((UNREACHABLE, NO_EXECUTE)),
        _ => {}
    }
    // A node whose Ready condition nobody has written yet keeps the taint it registered with.
    let unknown = condition("Ready").is_empty();
    let managed = |taint: &Taint| {
        let of_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key);
        (of_condition || taint.key == UNSCHEDULABLE) && !(unknown && taint.key == NOT_READY)
    };
    let is = |taint: &Taint, (key, effect): &(&str, &str)| taint.key == *key && taint.effect == *effect;
    let mut taints: Vec<Taint> =
        current.iter().filter(|t| !managed(t) || wanted.iter().any(|w| is(t, w))).cloned().collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| is(taint, &(key, effect))) {
            taints.push(Taint {
                key: key.to_owned(),
                effect: effect.to_owned(),
                value: None,
                time_added: Some(Time(now)),
            });
        }
    }
    (taints != current).then_some(taints)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn node(ready: &str, taints: &[(&str, &str)]) -> Node {
        let taints: Vec<_> = taints.iter().map(|(key, effect)| json!({"key": key, "effect": effect})).collect();
        let conditions = if ready.is_empty() { json!([]) } else { json!([{"type": "Ready", "status": ready}]) };
        serde_json::from_value(json!({
            "metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": conditions}}))
        .unwrap()
    }

    fn tainted(node: &Node, evict: bool) -> Option<Vec<(String, String)>> {
        taints(node, evict, now()).map(|taints| taints.into_iter().map(|t| (t.key, t.effect)).collect())
    }

    #[test]
    fn silence_makes_all_the_kubelet_says_unknown() {
        let mut node = node("True", &[]);
        let conditions = silent_conditions(&node, now()).unwrap();
        assert_eq!(conditions.len(), 4);
        assert_eq!(conditions[0].reason.as_deref(), Some("NodeStatusUnknown"));
        assert_eq!(conditions[1].reason.as_deref(), Some("NodeStatusNeverUpdated"));
        node.status.as_mut().unwrap().conditions = Some(conditions);
        assert_eq!(silent_conditions(&node, now()), None);
    }

    #[test]
    fn taints_follow_readiness_and_leave_others_alone() {
        let pair = |key: &str, effect: &str| (key.to_owned(), effect.to_owned());
        assert_eq!(tainted(&node("True", &[]), true), None);
        assert_eq!(
            tainted(&node("Unknown", &[("mine", "NoExecute")]), true).unwrap(),
            [pair("mine", "NoExecute"), pair(UNREACHABLE, "NoSchedule"), pair(UNREACHABLE, "NoExecute")]
        );
        assert_eq!(
            tainted(&node("False", &[(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]), true).unwrap(),
            [pair(NOT_READY, "NoSchedule"), pair(NOT_READY, "NoExecute")]
        );
        let both = [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")];
        assert_eq!(tainted(&node("False", &both), true), None);
        assert_eq!(tainted(&node("False", &both), false).unwrap(), [pair(NOT_READY, "NoSchedule")]);
        assert_eq!(tainted(&node("True", &both), true).unwrap(), []);
        assert_eq!(tainted(&node("", &[(NOT_READY, "NoSchedule")]), true), None, "registered and not heard of yet");
    }
}
