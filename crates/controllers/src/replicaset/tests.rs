#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "rs", "generation": 3},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
                 "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}},
    }))
    .unwrap()
}

/// A ready pod on a node, an hour old, changed as given.
fn pod(name: &str, change: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name, "uid": name, "labels": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    merge(&mut pod, change);
    serde_json::from_value(pod).unwrap()
}

fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}

fn names(plan: &Plan<'_>) -> Vec<String> {
    match &plan.scale {
        Scale::Delete(pods) => pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_few_are_made_and_ended_ones_do_not_count() {
    let pods = [
        pod("a", json!({})),
        pod("b", json!({"status": {"phase": "Failed"}})),
        pod("c", json!({"metadata": {"deletionTimestamp": NOW}})),
    ];
    let plan = plan(&set(3), &pods, &[], now());
    assert_eq!(plan.scale, Scale::Create(2));
    assert_eq!((plan.active.len(), plan.terminating), (1, 1));
    assert_eq!(super::plan::plan(&set(5000), &[], &[], now()).scale, Scale::Create(BURST_REPLICAS));
}

#[test]
fn a_set_being_deleted_makes_nothing() {
    let mut set = set(3);
    set.metadata.deletion_timestamp = Some(api::meta::Time(now()));
    assert_eq!(plan(&set, &[], &[], now()).scale, Scale::Enough);
}

#[test]
fn what_costs_least_is_deleted_first() {
    // Each pod is worth less than those after it, for another reason each.
    let pods = [
        pod("ready", json!({})),
        pod("crowded", json!({"spec": {"nodeName": "node-2"}})),
        pod(
            "crowding",
            json!({"spec": {"nodeName": "node-2"}, "status": {"containerStatuses": [
            {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 4}]}}),
        ),
        pod("cheap", json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}})),
        pod("unready", json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})),
        pod("pending", json!({"status": {"phase": "Pending", "conditions": []}})),
        pod("unassigned", json!({"spec": {"nodeName": null}, "status": {"phase": "Pending", "conditions": []}})),
    ];
    let mut related: Vec<Pod> = pods.iter().filter(|p| p.metadata.name.as_deref() != Some("cheap")).cloned().collect();
    for other in ["other-1", "other-2"] {
        related.push(pod(other, json!({"spec": {"nodeName": "node-2"}})));
    }
    let plan = plan(&set(1), &pods, &related, now());
    assert_eq!(names(&plan), ["unassigned", "pending", "unready", "cheap", "crowding", "crowded"]);
}

#[test]
fn younger_pods_go_before_much_older_ones() {
    let young = json!({"metadata": {"creationTimestamp": "2026-01-01T00:59:00Z"}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:59:30Z"}]}});
    let pods = [pod("old", json!({})), pod("young", young)];
    assert_eq!(names(&plan(&set(1), &pods, &[], now())), ["young"]);
}

#[test]
fn availability_is_looked_at_again_in_time() {
    let mut set = set(1);
    set.spec.min_ready_seconds = Some(60);
    let fresh = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:59:30Z"}]}});
    let pods = [pod("a", fresh)];
    let plan = plan(&set, &pods, &[], now());
    assert_eq!(plan.next, Next::After(std::time::Duration::from_secs(30)));
    let status = status::status(&set, &plan.active, 0, None, now());
    assert_eq!((status.ready_replicas, status.available_replicas), (Some(1), None));
}

#[test]
fn a_failure_stays_until_a_success_and_settled_status_is_equal() {
    let mut set = set(1);
    let pods = [pod("a", json!({}))];
    let active: Vec<&Pod> = pods.iter().collect();
    let failure = Failure { reason: "FailedCreate", message: "no".to_owned() };
    let failed = status::status(&set, &active, 0, Some(&failure), now());
    let condition = &failed.conditions.as_ref().unwrap()[0];
    assert_eq!(
        (condition.type_.as_deref(), condition.reason.as_deref()),
        (Some("ReplicaFailure"), Some("FailedCreate"))
    );
    set.status = Some(failed.clone());
    assert_eq!(status::status(&set, &active, 0, Some(&failure), now()), failed);
    let mended = status::status(&set, &active, 0, None, now());
    assert_eq!(mended.conditions, None);
    assert_eq!((mended.replicas, mended.observed_generation), (1, Some(3)));
}
