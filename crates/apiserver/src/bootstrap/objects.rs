//! The objects every cluster has, besides the default policy.

use std::net::IpAddr;

use apimachinery::Object;
use serde_json::{Value, json};

use super::Gvr;

fn object(value: Value) -> Object {
    Object::from_value(value).expect("it was written as an object")
}

pub(super) fn namespaces() -> Vec<(Gvr, Object)> {
    ["kube-system", "kube-public", "kube-node-lease", "default"]
        .into_iter()
        .map(|name| {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            (("", "v1", "namespaces"), object(namespace))
        })
        .collect()
}

pub(super) fn priority_classes() -> Vec<(Gvr, Object)> {
    [
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
    .into_iter()
    .map(|(name, value, description)| {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        });
        (("scheduling.k8s.io", "v1", "priorityclasses"), object(class))
    })
    .collect()
}

/// How aggregated servers find out whom to trust.
pub(super) fn authentication_config(client_ca_pem: &str) -> Object {
    object(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": client_ca_pem},
    }))
}

/// Replaces what differs in `data`.
pub(super) fn repair_data(existing: &Object, wanted: &Object) -> Option<Object> {
    let mut repaired = existing.clone();
    for (key, value) in wanted.get(&["data"]).and_then(Value::as_object).into_iter().flatten() {
        repaired.set(&["data", key], value.clone());
    }
    (repaired != *existing).then_some(repaired)
}

/// The Service by which pods reach this server. The pipeline gives it the first address of the range.
pub(super) fn kubernetes_service() -> (Gvr, Object) {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
            "sessionAffinity": "None",
        },
    });
    (("", "v1", "services"), object(service))
}

/// Where that Service leads.
pub(crate) fn kubernetes_endpoints(addresses: &[IpAddr], port: u16) -> Vec<(Gvr, Object)> {
    // A loopback address cannot stand in endpoints: nobody but this machine would reach it.
    let reachable = || addresses.iter().filter(|address| !address.is_loopback());
    let Some(first) = reachable().next() else { return Vec::new() };
    let listed: Vec<Value> = reachable().map(|address| json!({"ip": address.to_string()})).collect();
    let endpoint = |address: &IpAddr| json!({"addresses": [address.to_string()], "conditions": {"ready": true}});
    let ready: Vec<Value> = reachable().map(endpoint).collect();
    let endpoints = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": listed,
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": if first.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": ready,
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    vec![(("", "v1", "endpoints"), object(endpoints)), (("discovery.k8s.io", "v1", "endpointslices"), object(slice))]
}

/// Replaces addresses and ports that are no longer true.
pub(super) fn repair_endpoints(existing: &Object, wanted: &Object) -> Option<Object> {
    let mut repaired = existing.clone();
    for field in ["subsets", "endpoints", "ports", "addressType"] {
        if let Some(value) = wanted.get(&[field]) {
            repaired.set(&[field], value.clone());
        }
    }
    (repaired != *existing).then_some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_settle() {
        let wanted = authentication_config("PEM");
        assert_eq!(repair_data(&wanted, &wanted), None);
        let repaired = repair_data(&authentication_config("OLD"), &wanted);
        assert_eq!(repaired, Some(wanted));
    }
}
