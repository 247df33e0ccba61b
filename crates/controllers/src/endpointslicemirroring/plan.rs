//! Which slices show the endpoints, changing as few of those that are there as possible.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    core::v1::{EndpointAddress, EndpointPort as CorePort, Endpoints, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    meta::ObjectMeta,
    owner_reference,
};

pub(crate) use crate::endpointslice::plan::{Group, MANAGED_BY_LABEL, SERVICE_LABEL};

pub(crate) const MANAGED_BY: &str = "endpointslicemirroring-controller.k8s.io";
/// Addresses of a subset beyond these are not shown.
pub(crate) const MAX_ADDRESSES_PER_SUBSET: usize = 1000;
/// Endpoints that ask to be left alone, and those that were once used to elect leaders.
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that speak of the endpoints only.
const NOT_COPIED: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    pub(crate) delete: Vec<EndpointSlice>,
    /// What is no address of IPv4 or IPv6.
    pub(crate) invalid: usize,
    /// Addresses beyond the most that are shown.
    pub(crate) skipped: usize,
}

/// Whether the endpoints are somebody else's, for a service that has no selector.
pub(crate) fn should_mirror(endpoints: &Endpoints, service: Option<&Service>) -> bool {
    let metadata = &endpoints.metadata;
    let skipped = metadata.labels.as_ref().and_then(|l| l.get(SKIP_LABEL)).is_some_and(|value| value == "true");
    let elects = metadata.annotations.as_ref().is_some_and(|a| a.contains_key(LEADER_ANNOTATION));
    let selects = |service: &Service| service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    !skipped && !elects && metadata.deletion_timestamp.is_none() && service.is_some_and(|service| !selects(service))
}

/// Pure.
pub(crate) fn plan(endpoints: &Endpoints, existing: Vec<EndpointSlice>) -> Plan {
    let mut plan = Plan::default();
    let mut groups: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (index, (address, ready)) in ready.chain(not_ready).enumerate() {
            if index >= MAX_ADDRESSES_PER_SUBSET {
                plan.skipped += 1;
                continue;
            }
            let family = match address.ip.parse() {
                Ok(std::net::IpAddr::V4(_)) => "IPv4",
                Ok(std::net::IpAddr::V6(_)) => "IPv6",
                Err(_) => {
                    plan.invalid += 1;
                    continue;
                }
            };
            groups.entry(Group::new(family, &ports)).or_default().push(endpoint(address, ready));
        }
    }
    let mut have: BTreeMap<Group, Vec<EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        have.entry(Group::of(&slice)).or_default().push(slice);
    }
    for (group, mut wanted) in groups {
        wanted.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        let mut seen = BTreeSet::new();
        wanted.retain(|endpoint| seen.insert(endpoint.addresses.clone()));
        let mut slices = have.remove(&group).unwrap_or_default();
        slices.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut slices = slices.into_iter();
        for part in wanted.chunks(MAX_ADDRESSES_PER_SUBSET) {
            show(endpoints, &group, part, slices.next(), &mut plan);
        }
        plan.delete.extend(slices);
    }
    plan.delete.extend(have.into_values().flatten());
    plan
}

/// Shows a part in a slice that is there, or in a new one.
fn show(endpoints: &Endpoints, group: &Group, part: &[Endpoint], slice: Option<EndpointSlice>, plan: &mut Plan) {
    let Some(mut slice) = slice else {
        let name = endpoints.metadata.name.as_deref().unwrap_or_default();
        let mut metadata = ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            ..ObjectMeta::default()
        };
        set_metadata(endpoints, &mut metadata);
        plan.create.push(EndpointSlice {
            metadata,
            address_type: group.address_type().to_owned(),
            ports: Some(group.ports()),
            endpoints: Some(part.to_vec()),
        });
        return;
    };
    let changed = set_metadata(endpoints, &mut slice.metadata);
    if changed || slice.endpoints.as_deref().unwrap_or_default() != part {
        slice.endpoints = Some(part.to_vec());
        plan.update.push(slice);
    }
}

fn port(port: &CorePort) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        ..Endpoint::default()
    }
}

/// The endpoints' labels and annotations, and ours; says whether anything changed.
fn set_metadata(endpoints: &Endpoints, metadata: &mut ObjectMeta) -> bool {
    let source = &endpoints.metadata;
    let mut labels = source.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_LABEL.to_owned(), source.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    let mut annotations = source.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    let owners = vec![owner_reference::<Endpoints>(source)];
    let changed = metadata.labels.as_ref() != Some(&labels)
        || metadata.annotations.clone().unwrap_or_default() != annotations
        || metadata.owner_references.as_ref() != Some(&owners);
    metadata.labels = Some(labels);
    metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    metadata.owner_references = Some(owners);
    changed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn endpoints(subsets: serde_json::Value) -> Endpoints {
        serde_json::from_value(json!({
            "metadata": {"name": "e", "namespace": "n", "uid": "u", "labels": {"a": "b"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "c": "d"}},
            "subsets": subsets,
        }))
        .unwrap()
    }

    #[test]
    fn each_family_and_set_of_ports_gets_a_slice() {
        let both = endpoints(json!([
            {"addresses": [{"ip": "10.0.0.2"}, {"ip": "fd00::1"}, {"ip": "x"}],
                "notReadyAddresses": [{"ip": "10.0.0.1", "nodeName": "node"}], "ports": [{"port": 80, "protocol": "TCP"}]},
            {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
        ]));
        let made = plan(&both, Vec::new());
        assert_eq!((made.create.len(), made.invalid, made.skipped), (3, 1, 0));
        let first = &made.create[0];
        assert_eq!(first.address_type, "IPv4");
        let addresses: Vec<_> =
            first.endpoints.iter().flatten().map(|e| (e.addresses[0].as_str(), e.node_name.clone())).collect();
        assert_eq!(addresses, [("10.0.0.1", Some("node".to_owned())), ("10.0.0.2", None)]);
        let ready = |index: usize| first.endpoints.as_ref().unwrap()[index].conditions.as_ref().unwrap().ready;
        assert_eq!((ready(0), ready(1)), (Some(false), Some(true)));
        let metadata = &first.metadata;
        assert_eq!(metadata.annotations.as_ref().unwrap().keys().collect::<Vec<_>>(), ["c"]);
        assert_eq!(metadata.labels.as_ref().unwrap()[SERVICE_LABEL], "e");
        assert_eq!(metadata.owner_references.as_ref().unwrap()[0].kind, "Endpoints");

        let again = plan(&both, made.create.clone());
        assert_eq!((again.create.len(), again.update.len(), again.delete.len()), (0, 0, 0));
        let fewer = endpoints(json!([{"addresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 80, "protocol": "TCP"}]}]));
        let changed = plan(&fewer, made.create);
        assert_eq!((changed.create.len(), changed.update.len(), changed.delete.len()), (0, 1, 2));
    }

    #[test]
    fn only_endpoints_of_others_are_shown() {
        let service = |selector: serde_json::Value| -> Service {
            serde_json::from_value(json!({"spec": {"selector": selector}})).unwrap()
        };
        let mine = endpoints(json!([]));
        assert!(should_mirror(&mine, Some(&service(json!(null)))));
        assert!(!should_mirror(&mine, Some(&service(json!({"a": "b"})))));
        assert!(!should_mirror(&mine, None));
        let mut skipped = mine.clone();
        skipped.metadata.labels.get_or_insert_default().insert(SKIP_LABEL.to_owned(), "true".to_owned());
        assert!(!should_mirror(&skipped, Some(&service(json!(null)))));
    }

    #[test]
    fn too_many_addresses_are_counted() {
        let addresses: Vec<_> = (0..1002).map(|n| json!({"ip": format!("10.0.{}.{}", n / 250, n % 250)})).collect();
        let made = plan(&endpoints(json!([{"addresses": addresses}])), Vec::new());
        assert_eq!((made.create.len(), made.skipped), (1, 2));
    }
}
