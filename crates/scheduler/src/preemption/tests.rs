//! Who makes place for whom.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Plan, plan};
use crate::{
    cache::Cache,
    cycle::{Cycle, Rotation},
    nominated::Nominated,
    pod_info::PodInfo,
};

fn pod(name: &str, priority: i32, cpu: &str, more: Value) -> Arc<PodInfo> {
    let mut whole = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {"priority": priority,
        "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}, "status": {}});
    for (part, fields) in more.as_object().unwrap() {
        whole[part].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    Arc::new(PodInfo::new(&serde_json::from_value(whole).unwrap()))
}

fn running(name: &str, priority: i32, cpu: &str, node: &str, started: u32) -> Arc<PodInfo> {
    let started = format!("2026-01-01T00:00:{started:02}Z");
    pod(name, priority, cpu, json!({"spec": {"nodeName": node}, "status": {"startTime": started}}))
}

fn cluster(nodes: &[(&str, Value)], pods: &[Arc<PodInfo>]) -> Cache {
    let mut cache = Cache::default();
    for (name, spec) in nodes {
        let node = json!({"metadata": {"name": name}, "spec": spec,
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}}});
        cache.set_node(&serde_json::from_value(node).unwrap());
    }
    pods.iter().for_each(|pod| cache.set_pod(pod.clone()));
    cache
}

fn one_node(pods: &[Arc<PodInfo>]) -> Cache {
    cluster(&[("n", json!({}))], pods)
}

/// Where and whose place the pod gets, or the whole message of why it gets none.
fn preempt(cache: &Cache, pod: &Arc<PodInfo>, nominated: &Nominated) -> Result<(String, Vec<String>), String> {
    let nodes = cache.snapshot();
    let cycle = Cycle { pod, nodes: &nodes, nominated };
    let error = cycle.choose(&mut Rotation::default(), &mut StdRng::seed_from_u64(1)).unwrap_err();
    let Plan { node, victims } = plan(&cycle, &error).map_err(|why| format!("{error} {why}"))?;
    let mut victims: Vec<String> = victims.iter().map(|v| v.uid.clone()).collect();
    victims.sort();
    Ok((node, victims))
}

#[track_caller]
fn check(cache: &Cache, pod: &Arc<PodInfo>, node: &str, victims: &[&str]) {
    let victims = victims.iter().map(|&v| v.to_owned()).collect();
    assert_eq!(preempt(cache, pod, &Nominated::default()), Ok((node.to_owned(), victims)));
}

#[track_caller]
fn check_none(cache: &Cache, pod: &Arc<PodInfo>, message: &str) {
    assert_eq!(preempt(cache, pod, &Nominated::default()), Err(message.to_owned()));
}

#[test]
fn only_pods_of_lower_priority_go() {
    let cache = one_node(&[running("same", 10, "1", "n", 1), running("lower", 5, "1", "n", 1)]);
    check(&cache, &pod("p", 10, "1", json!({})), "n", &["lower"]);
    check_none(
        &cache,
        &pod("p", 5, "1", json!({})),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims \
         found for incoming pod.",
    );
}

#[test]
fn no_more_go_than_must_and_the_least_important_first() {
    let cache = one_node(&[
        running("a", 1, "500m", "n", 1),
        running("b", 2, "500m", "n", 1),
        running("c", 3, "500m", "n", 2),
        running("d", 3, "500m", "n", 1),
    ]);
    check(&cache, &pod("p", 9, "500m", json!({})), "n", &["a"]);
    check(&cache, &pod("p", 9, "1500m", json!({})), "n", &["a", "b", "c"]);
}

#[test]
fn what_no_departure_can_mend_is_not_tried() {
    let cache = cluster(
        &[("a", json!({"unschedulable": true})), ("b", json!({}))],
        &[running("x", 1, "2", "a", 1), running("y", 1, "1", "b", 1)],
    );
    check_none(
        &cache,
        &pod("p", 9, "3", json!({})),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: 0/2 nodes are \
         available: 2 Preemption is not helpful for scheduling.",
    );
    check(&cache, &pod("p", 9, "2", json!({})), "b", &["y"]);
}

#[test]
fn a_policy_of_never_is_kept() {
    let cache = one_node(&[running("x", 1, "2", "n", 1)]);
    check_none(
        &cache,
        &pod("p", 9, "1", json!({"spec": {"preemptionPolicy": "Never"}})),
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
    );
}

#[test]
fn the_node_that_loses_least_is_chosen() {
    let nodes = [("a", json!({})), ("b", json!({}))];
    let p = pod("p", 9, "2", json!({}));
    // The lowest of the highest priorities.
    check(&cluster(&nodes, &[running("x", 2, "2", "a", 1), running("y", 1, "2", "b", 1)]), &p, "b", &["y"]);
    // The smallest sum, which is also the fewest.
    let three = [running("x", 2, "1", "a", 1), running("y", 2, "1", "a", 1), running("z", 2, "2", "b", 1)];
    check(&cluster(&nodes, &three), &p, "b", &["z"]);
    // Who has run for the shortest time.
    check(&cluster(&nodes, &[running("x", 2, "2", "a", 1), running("y", 2, "2", "b", 5)]), &p, "b", &["y"]);
}

#[test]
fn a_promised_node_is_full_for_others_but_not_for_the_more_important() {
    let cache = one_node(&[]);
    let promised = pod("promised", 5, "2", json!({"status": {"nominatedNodeName": "n"}}));
    let mut nominated = Nominated::default();
    nominated.see(&promised);
    let nodes = cache.snapshot();
    let choose = |pod: &Arc<PodInfo>| {
        let cycle = Cycle { pod, nodes: &nodes, nominated: &nominated };
        cycle.choose(&mut Rotation::default(), &mut StdRng::seed_from_u64(1)).map_err(|e| e.to_string())
    };
    let full = Err("0/1 nodes are available: 1 Insufficient cpu.".to_owned());
    assert_eq!(choose(&pod("p", 5, "1", json!({}))), full);
    assert_eq!(choose(&pod("p", 6, "1", json!({}))), Ok("n".to_owned()));
    assert_eq!(choose(&promised), Ok("n".to_owned()));
}

#[test]
fn who_waits_for_victims_to_go_chooses_no_more() {
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"nodeName": "n"},
        "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}});
    let cache = one_node(&[pod("x", 1, "2", going)]);
    let p = pod("p", 9, "1", json!({"status": {"nominatedNodeName": "n"}}));
    let mut nominated = Nominated::default();
    nominated.see(&p);
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod on \
                   the nominated node.";
    assert_eq!(preempt(&cache, &p, &nominated), Err(message.to_owned()));
}

#[test]
fn a_nomination_is_void_once_the_api_withdraws_it() {
    let mut nominated = Nominated::default();
    let (without, with) =
        (pod("p", 1, "1", json!({})), pod("p", 1, "1", json!({"status": {"nominatedNodeName": "n"}})));
    nominated.set(&without, "n");
    nominated.see(&without);
    assert_eq!(nominated.node_of("p"), Some("n"), "not written yet");
    nominated.see(&with);
    nominated.see(&without);
    assert_eq!(nominated.node_of("p"), None);
}
