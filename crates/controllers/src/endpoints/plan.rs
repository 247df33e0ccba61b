//! The endpoints object of a service: addresses grouped by the ports they share.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    conditions::is_pod_ready,
    core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service},
    meta::ObjectMeta,
};

use crate::services::{
    HEADLESS_LABEL, family, hostname, is_headless, may_serve, pod_ips, publishes_not_ready, target_port,
};

pub(crate) const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
pub(crate) const MANAGED_BY: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object; more than that are cut off, ready ones last.
const MAX_ADDRESSES: usize = 1000;

#[derive(Debug, PartialEq)]
pub(crate) enum Plan {
    Settled,
    Create(Box<Endpoints>),
    Replace(Box<Endpoints>),
}

type PortKey = (Option<String>, i32, Option<String>, Option<String>);
type AddressKey = (String, Option<String>);

/// Pure.
pub(crate) fn plan(service: &Service, pods: &[Pod], current: Option<Endpoints>) -> Plan {
    let (subsets, truncated) = truncate(subsets(service, pods));
    let labels = labels(service);
    let create = current.is_none();
    let mut endpoints = current.unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        subsets: None,
    });
    let annotation = truncated.then(|| "truncated".to_owned());
    let over = endpoints.metadata.annotations.as_ref().and_then(|a| a.get(OVER_CAPACITY).cloned());
    let same = endpoints.subsets.clone().unwrap_or_default() == subsets
        && endpoints.metadata.labels.as_ref() == Some(&labels)
        && over == annotation;
    if same && !create {
        return Plan::Settled;
    }
    endpoints.subsets = Some(subsets).filter(|s| !s.is_empty());
    endpoints.metadata.labels = Some(labels);
    if let Some(annotations) = endpoints.metadata.annotations.as_mut() {
        annotations.remove(OVER_CAPACITY);
    }
    if let Some(annotation) = annotation {
        endpoints.metadata.annotations.get_or_insert_default().insert(OVER_CAPACITY.to_owned(), annotation);
    }
    if create { Plan::Create(Box::new(endpoints)) } else { Plan::Replace(Box::new(endpoints)) }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if is_headless(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS_LABEL);
    }
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

fn subsets(service: &Service, pods: &[Pod]) -> Vec<EndpointSubset> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let tolerant = publishes_not_ready(service);
    let wanted = spec.ip_families.as_ref().and_then(|f| f.first().cloned());
    let wanted = wanted.unwrap_or_else(|| family(spec.cluster_ip.as_deref().unwrap_or_default()).to_owned());
    let no_ports = spec.ports.as_ref().is_none_or(Vec::is_empty);
    let mut addresses: BTreeMap<AddressKey, (EndpointAddress, bool)> = BTreeMap::new();
    let mut ports_of: BTreeMap<AddressKey, BTreeSet<PortKey>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| may_serve(pod, tolerant)) {
        let Some(ip) = pod_ips(pod).into_iter().find(|ip| family(ip) == wanted) else { continue };
        let key = (ip.to_owned(), pod.metadata.uid.clone());
        let ports: BTreeSet<PortKey> = spec
            .ports
            .iter()
            .flatten()
            .filter_map(|p| Some((p.name.clone(), target_port(pod, p)?, p.protocol.clone(), p.app_protocol.clone())))
            .collect();
        // Without ports to serve, only a headless service has the address.
        if ports.is_empty() && !(no_ports && is_headless(service)) {
            continue;
        }
        addresses.insert(key.clone(), (address(service, pod, ip), tolerant || is_pod_ready(pod)));
        ports_of.insert(key, ports);
    }
    group(addresses, ports_of)
}

/// Addresses that have the same ports make one subset.
fn group(
    addresses: BTreeMap<AddressKey, (EndpointAddress, bool)>,
    ports_of: BTreeMap<AddressKey, BTreeSet<PortKey>>,
) -> Vec<EndpointSubset> {
    let mut by_ports: BTreeMap<BTreeSet<PortKey>, EndpointSubset> = BTreeMap::new();
    for (key, (address, ready)) in addresses {
        let ports = ports_of.get(&key).cloned().unwrap_or_default();
        let subset = by_ports.entry(ports).or_default();
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    by_ports
        .into_iter()
        .map(|(ports, mut subset)| {
            let ports: Vec<EndpointPort> = ports
                .into_iter()
                .map(|(name, port, protocol, app_protocol)| EndpointPort { name, port, protocol, app_protocol })
                .collect();
            subset.ports = Some(ports).filter(|p| !p.is_empty());
            subset
        })
        .collect()
}

fn address(service: &Service, pod: &Pod, ip: &str) -> EndpointAddress {
    EndpointAddress {
        ip: ip.to_owned(),
        node_name: pod.spec.as_ref().and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty()),
        hostname: hostname(service, pod),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    }
}

/// Cuts what is over capacity: ready addresses of all subsets are kept before those that are not.
fn truncate(mut subsets: Vec<EndpointSubset>) -> (Vec<EndpointSubset>, bool) {
    let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let total: usize = subsets.iter().map(|s| count(&s.addresses) + count(&s.not_ready_addresses)).sum();
    if total <= MAX_ADDRESSES {
        return (subsets, false);
    }
    let mut room = MAX_ADDRESSES;
    let mut cut = |list: &mut Option<Vec<EndpointAddress>>| {
        if let Some(addresses) = list {
            addresses.truncate(room);
            room -= addresses.len();
        }
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    };
    subsets.iter_mut().for_each(|subset| cut(&mut subset.addresses));
    subsets.iter_mut().for_each(|subset| cut(&mut subset.not_ready_addresses));
    subsets.retain(|s| s.addresses.is_some() || s.not_ready_addresses.is_some());
    (subsets, true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value, json};

    use super::*;

    fn service(headless: bool, ports: Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "n", "labels": {"team": "x"}},
            "spec": {"clusterIP": if headless { "None" } else { "10.0.0.1" }, "ipFamilies": ["IPv4"],
                     "selector": {"a": "b"}, "ports": ports},
        }))
        .unwrap()
    }

    fn pod(index: usize, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("p{index}"), "namespace": "n", "uid": format!("u{index}")},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running", "podIP": format!("10.1.{}.{}", index / 250, index % 250),
                       "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
        .unwrap()
    }

    fn made(plan: Plan) -> Endpoints {
        match plan {
            Plan::Create(endpoints) | Plan::Replace(endpoints) => *endpoints,
            Plan::Settled => panic!("nothing to write"),
        }
    }

    #[test]
    fn ready_and_unready_addresses_share_a_subset() {
        let service = service(false, json!([{"name": "a", "port": 80, "targetPort": 8080, "protocol": "TCP"}]));
        let pods = [pod(1, true), pod(2, false)];
        let endpoints = made(plan(&service, &pods, None));
        assert_eq!(
            serde_json::to_value(&endpoints.subsets).unwrap(),
            json!([{
                "addresses": [{"ip": "10.1.0.1", "nodeName": "node-1",
                    "targetRef": {"kind": "Pod", "namespace": "n", "name": "p1", "uid": "u1"}}],
                "notReadyAddresses": [{"ip": "10.1.0.2", "nodeName": "node-1",
                    "targetRef": {"kind": "Pod", "namespace": "n", "name": "p2", "uid": "u2"}}],
                "ports": [{"name": "a", "port": 8080, "protocol": "TCP"}],
            }])
        );
        assert_eq!(plan(&service, &pods, Some(endpoints)), Plan::Settled);
    }

    #[test]
    fn a_headless_service_needs_no_ports_and_no_pods_no_subsets() {
        let headless = service(true, json!(null));
        let endpoints = made(plan(&headless, &[pod(1, true)], None));
        assert_eq!(endpoints.subsets.as_ref().unwrap().len(), 1);
        assert!(endpoints.metadata.labels.unwrap().contains_key(HEADLESS_LABEL));
        assert_eq!(made(plan(&headless, &[], None)).subsets, None);
    }

    #[test]
    fn what_is_over_capacity_is_cut_and_marked() {
        let service = service(false, json!([{"port": 80, "protocol": "TCP"}]));
        let pods: Vec<Pod> = (0..1100).map(|n| pod(n, n >= 600)).collect();
        let endpoints = made(plan(&service, &pods, None));
        let subset = &endpoints.subsets.as_ref().unwrap()[0];
        assert_eq!(subset.addresses.as_ref().unwrap().len(), 500);
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap().len(), 500);
        let again = made(plan(&service, &pods[..10], Some(endpoints)));
        assert!(!again.metadata.annotations.unwrap().contains_key(OVER_CAPACITY));
    }
}
