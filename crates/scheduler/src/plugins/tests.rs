//! Placement as a whole: a pod and nodes in, a node or upstream's words out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::{
    cache::Cache,
    cycle::{Cycle, Rotation},
    nominated::Nominated,
    pod_info::PodInfo,
};

fn pod(name: &str, labels: Value, spec: Value) -> Arc<PodInfo> {
    let mut whole = json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels},
        "spec": {"containers": []}});
    whole["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    Arc::new(PodInfo::new(&serde_json::from_value(whole).unwrap()))
}

fn asking(cpu: &str) -> Value {
    json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
}

/// Nodes given as labels, spec and the pods on them.
fn cluster(nodes: &[(&str, Value, Value)]) -> Cache {
    let mut cache = Cache::default();
    for (name, labels, spec) in nodes {
        let node = json!({"metadata": {"name": name, "labels": labels}, "spec": spec,
            "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "3"}}});
        cache.set_node(&serde_json::from_value(node).unwrap());
    }
    cache
}

fn choose(cache: &Cache, pod: &Arc<PodInfo>) -> Result<String, String> {
    let mut rng = StdRng::seed_from_u64(1);
    let cycle = Cycle { pod, nodes: &cache.snapshot(), nominated: &Nominated::default() };
    cycle.choose(&mut Rotation::default(), &mut rng).map_err(|e| e.to_string())
}

#[track_caller]
fn check(cache: &Cache, pod: &Arc<PodInfo>, expect: Result<&str, &str>) {
    assert_eq!(choose(cache, pod), expect.map(str::to_owned).map_err(str::to_owned));
}

#[test]
fn without_nodes_there_is_nothing_to_choose() {
    check(&cluster(&[]), &pod("p", json!({}), json!({})), Err("no nodes available to schedule pods"));
}

#[test]
fn an_empty_pod_fits_an_empty_node() {
    check(&cluster(&[("n", json!({}), json!({}))]), &pod("p", json!({}), json!({})), Ok("n"));
}

#[test]
fn reasons_are_counted_and_sorted() {
    let cache = cluster(&[
        ("a", json!({}), json!({"unschedulable": true})),
        ("b", json!({}), json!({"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]})),
        ("c", json!({}), json!({})),
        ("d", json!({}), json!({})),
    ]);
    let refusal = "0/4 nodes are available: 1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable, \
        2 Insufficient cpu.";
    check(&cache, &pod("p", json!({}), asking("3")), Err(refusal));
}

#[test]
fn resources_of_pods_count_until_they_are_gone() {
    let mut cache = cluster(&[("n", json!({}), json!({}))]);
    let first = pod("first", json!({}), asking("1500m"));
    cache.assume(first.clone(), "n");
    let second = pod("second", json!({}), asking("600m"));
    check(&cache, &second, Err("0/1 nodes are available: 1 Insufficient cpu."));
    cache.forget(&first.uid);
    check(&cache, &second, Ok("n"));
    for name in ["x", "y", "z"] {
        cache.assume(pod(name, json!({}), json!({})), "n");
    }
    check(&cache, &second, Err("0/1 nodes are available: 1 Too many pods."));
}

#[test]
fn host_ports_are_given_once() {
    let port = |ip: &str| {
        json!({"containers": [{"name": "c", "ports": [
        {"containerPort": 80, "hostPort": 8080, "hostIP": ip}]}]})
    };
    let mut cache = cluster(&[("n", json!({}), json!({}))]);
    cache.assume(pod("a", json!({}), port("127.0.0.1")), "n");
    check(&cache, &pod("b", json!({}), port("127.0.0.2")), Ok("n"));
    let refusal = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    check(&cache, &pod("c", json!({}), port("")), Err(refusal));
}

#[test]
fn affinity_to_nodes_is_required_or_preferred() {
    let cache =
        cluster(&[("a", json!({"disk": "ssd", "gen": "3"}), json!({})), ("b", json!({"disk": "hdd"}), json!({}))]);
    check(&cache, &pod("p", json!({}), json!({"nodeSelector": {"disk": "hdd"}})), Ok("b"));
    let newer = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gen", "operator": "Gt", "values": ["2"]}]}]}}}});
    check(&cache, &pod("p", json!({}), newer), Ok("a"));
    let preferred = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
        [{"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["hdd"]}]}}]}}});
    check(&cache, &pod("p", json!({}), preferred), Ok("b"));
    let refusal = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
    check(&cache, &pod("p", json!({}), json!({"nodeSelector": {"disk": "tape"}})), Err(refusal));
}

#[test]
fn taints_keep_away_and_are_avoided() {
    let soft = json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]});
    let cache = cluster(&[("soft", json!({}), soft), ("clean", json!({}), json!({}))]);
    check(&cache, &pod("p", json!({}), json!({})), Ok("clean"));
    let hard = json!({"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]});
    let cache = cluster(&[("hard", json!({}), hard)]);
    let tolerating = json!({"tolerations": [{"key": "k", "operator": "Exists"}]});
    check(&cache, &pod("p", json!({}), tolerating), Ok("hard"));
}

fn anti_affinity(label: &str) -> Value {
    json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"labelSelector": {"matchLabels": {"app": label}}, "topologyKey": "zone"}]}}})
}

#[test]
fn pods_keep_apart_from_both_sides() {
    let mut cache = cluster(&[("a", json!({"zone": "1"}), json!({})), ("b", json!({"zone": "2"}), json!({}))]);
    cache.assume(pod("first", json!({"app": "x"}), anti_affinity("x")), "a");
    check(&cache, &pod("second", json!({"app": "x"}), anti_affinity("x")), Ok("b"));
    // The running pod's word counts for newcomers that say nothing.
    check(&cache, &pod("third", json!({"app": "x"}), json!({})), Ok("b"));
    cache.assume(pod("fourth", json!({"app": "x"}), anti_affinity("x")), "b");
    let refusal = "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.";
    check(&cache, &pod("p", json!({"app": "x"}), anti_affinity("x")), Err(refusal));
}

#[test]
fn pods_go_where_their_friends_are_and_the_first_anywhere() {
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}]}}});
    let mut cache = cluster(&[("a", json!({"zone": "1"}), json!({})), ("b", json!({"zone": "2"}), json!({}))]);
    assert!(choose(&cache, &pod("first", json!({"app": "x"}), near.clone())).is_ok());
    let refusal = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.";
    check(&cache, &pod("stranger", json!({}), near.clone()), Err(refusal));
    cache.assume(pod("first", json!({"app": "x"}), json!({})), "b");
    check(&cache, &pod("stranger", json!({}), near), Ok("b"));
}

#[test]
fn skew_is_bounded() {
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "x"}}}]});
    let mut cache = cluster(&[
        ("a", json!({"zone": "1"}), json!({})),
        ("b", json!({"zone": "2"}), json!({})),
        ("c", json!({}), json!({})),
    ]);
    cache.assume(pod("first", json!({"app": "x"}), json!({})), "a");
    check(&cache, &pod("p", json!({"app": "x"}), spread.clone()), Ok("b"));
    let mut full = spread;
    full["nodeSelector"] = json!({"zone": "1"});
    full["topologySpreadConstraints"][0]["nodeAffinityPolicy"] = "Ignore".into();
    let refusal = "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, \
        2 node(s) didn't match Pod's node affinity/selector.";
    check(&cache, &pod("p", json!({"app": "x"}), full), Err(refusal));
}

#[test]
fn siblings_are_spread_and_emptier_nodes_preferred() {
    let labels = |host: &str| json!({"kubernetes.io/hostname": host});
    let mut cache = cluster(&[("a", labels("a"), json!({})), ("b", labels("b"), json!({}))]);
    cache.assume(pod("big", json!({}), asking("1500m")), "a");
    check(&cache, &pod("p", json!({}), asking("100m")), Ok("b"));
}
