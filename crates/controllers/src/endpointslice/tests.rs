#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let mut service = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "s", "labels": {"team": "x"}},
        "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"a": "b"},
                 "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

fn pod(index: usize, ready: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": format!("p{index:03}"), "namespace": "n", "uid": format!("u{index}")},
        "spec": {"nodeName": "node-1", "hostname": "h", "subdomain": "web", "containers": [
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}]},
        "status": {"phase": "Running", "podIP": format!("10.1.0.{index}"),
                   "podIPs": [{"ip": format!("10.1.0.{index}")}, {"ip": format!("fd00::{index}")}],
                   "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    }))
    .unwrap()
}

fn node(name: &str) -> Option<Node> {
    let node = json!({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "z"}}});
    (name == "node-1").then(|| serde_json::from_value(node).unwrap())
}

/// Plans again and again, taking each plan, until there is nothing to do.
fn settle(service: &Service, pods: &[Pod], mut slices: Vec<EndpointSlice>, max: usize) -> Vec<EndpointSlice> {
    for round in 0..5 {
        let plan = plan(service, pods, node, slices.clone(), max);
        if plan == Plan::default() {
            slices.sort_by_key(|s| s.metadata.name.clone());
            return slices;
        }
        slices.retain(|s| !plan.delete.contains(s));
        for update in plan.update {
            let old = slices.iter_mut().find(|s| s.metadata.name == update.metadata.name).unwrap();
            *old = update;
        }
        for (n, mut slice) in plan.create.into_iter().enumerate() {
            slice.metadata.name = Some(format!("web-{round}-{n}"));
            slices.push(slice);
        }
    }
    panic!("does not settle");
}

fn sizes(slices: &[EndpointSlice]) -> Vec<usize> {
    slices.iter().map(|s| s.endpoints.as_ref().unwrap().len()).collect()
}

#[test]
fn a_slice_says_what_upstreams_says() {
    let slices = settle(&service(json!({})), &[pod(1, true)], Vec::new(), 100);
    let found = serde_json::to_value(&slices[0]).unwrap();
    assert_eq!(
        found,
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "web-0-0", "generateName": "web-", "namespace": "n",
                "labels": {"team": "x", "kubernetes.io/service-name": "web",
                           "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s",
                                     "controller": true, "blockOwnerDeletion": true}],
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": ["10.1.0.1"], "hostname": "h", "nodeName": "node-1", "zone": "z",
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": "n", "name": "p001", "uid": "u1"},
            }],
        })
    );
}

#[test]
fn readiness_and_termination() {
    let conditions = |service: &Service, pod: Pod| {
        let slices = settle(service, &[pod], Vec::new(), 100);
        let endpoint = slices[0].endpoints.as_ref().unwrap()[0].clone();
        let c = endpoint.conditions.unwrap();
        (c.ready.unwrap(), c.serving.unwrap(), c.terminating.unwrap())
    };
    let mut leaving = pod(1, true);
    leaving.metadata.deletion_timestamp = Some(api::meta::Time("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(conditions(&service(json!({})), pod(1, false)), (false, false, false));
    assert_eq!(conditions(&service(json!({})), leaving.clone()), (false, true, true));
    assert_eq!(conditions(&service(json!({"publishNotReadyAddresses": true})), leaving), (true, true, true));
}

#[test]
fn pods_without_address_ended_or_on_unknown_nodes_are_left_out() {
    let mut no_address = pod(1, true);
    no_address.status.as_mut().unwrap().pod_ips = None;
    no_address.status.as_mut().unwrap().pod_ip = None;
    let mut ended = pod(2, true);
    ended.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
    let mut elsewhere = pod(3, true);
    elsewhere.spec.as_mut().unwrap().node_name = Some("gone".to_owned());
    let plan = plan(&service(json!({})), &[no_address, ended, elsewhere], node, Vec::new(), 100);
    assert!(plan.nodes_missing);
    assert_eq!(sizes(&plan.create), [0], "an empty slice stands for the service");
    assert_eq!(plan.create[0].ports, Some(Vec::new()));
}

#[test]
fn slices_fill_and_change_little() {
    let service = service(json!({}));
    let pods: Vec<Pod> = (0..7).map(|n| pod(n, true)).collect();
    let slices = settle(&service, &pods, Vec::new(), 3);
    assert_eq!(sizes(&slices), [3, 3, 1]);
    // One pod goes, another comes: one slice changes.
    let mut pods = pods;
    pods.remove(0);
    pods.push(pod(9, true));
    let changed = plan(&service, &pods, node, slices.clone(), 3);
    assert_eq!((changed.create.len(), changed.update.len(), changed.delete.len()), (0, 1, 0));
    // All go: what was made for them becomes the empty one.
    let none = settle(&service, &[], slices, 3);
    assert_eq!(sizes(&none), [0]);
    let back = plan(&service, &pods[..1], node, none, 3);
    assert_eq!((back.create.len(), back.update.len(), back.delete.len()), (0, 1, 0));
}

#[test]
fn two_families_two_headless_slices() {
    let service = service(json!({"ipFamilies": ["IPv6", "IPv4"], "clusterIP": "None", "ports": null}));
    let slices = settle(&service, &[pod(1, true)], Vec::new(), 100);
    let addresses: Vec<_> = slices.iter().map(|s| s.endpoints.as_ref().unwrap()[0].addresses[0].clone()).collect();
    assert_eq!(addresses, ["10.1.0.1", "fd00::1"]);
    let labels = slices[0].metadata.labels.as_ref().unwrap();
    assert_eq!(labels.get("service.kubernetes.io/headless"), Some(&String::new()));
}

#[test]
fn nearness_is_hinted() {
    let slices = settle(&service(json!({"trafficDistribution": "PreferClose"})), &[pod(1, true)], Vec::new(), 100);
    let hints = slices[0].endpoints.as_ref().unwrap()[0].hints.clone().unwrap();
    assert_eq!(hints.for_zones.unwrap()[0].name, "z");
}
