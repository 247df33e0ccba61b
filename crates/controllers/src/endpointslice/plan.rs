//! Which slices a service should have, changing as few of those it has as possible.

use std::collections::{BTreeMap, HashMap};

use api::{
    conditions::is_pod_ready,
    core::v1::{Node, ObjectReference, Pod, Service},
    discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone},
    meta::{ObjectMeta, OwnerReference},
    owner_reference,
};

use crate::services::{
    HEADLESS_LABEL, family, hostname, is_headless, may_serve, pod_ips, publishes_not_ready, target_port,
};

pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
pub(crate) const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Endpoints in a slice, unless configured otherwise.
pub(crate) const MAX_ENDPOINTS_PER_SLICE: usize = 100;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    pub(crate) delete: Vec<EndpointSlice>,
    /// Pods left out because their node is not known.
    pub(crate) nodes_missing: bool,
}

type PortKey = (Option<String>, Option<i32>, Option<String>, Option<String>);

/// Slices that differ in these never share endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    address_type: String,
    /// Name, port, protocol and application protocol of each.
    ports: Vec<PortKey>,
}

impl Group {
    pub(crate) fn new(address_type: &str, ports: &[EndpointPort]) -> Self {
        let mut ports: Vec<_> =
            ports.iter().map(|p| (p.name.clone(), p.port, p.protocol.clone(), p.app_protocol.clone())).collect();
        ports.sort();
        Self { address_type: address_type.to_owned(), ports }
    }

    pub(crate) fn address_type(&self) -> &str {
        &self.address_type
    }

    pub(crate) fn of(slice: &EndpointSlice) -> Self {
        Self::new(&slice.address_type, slice.ports.as_deref().unwrap_or_default())
    }

    pub(crate) fn ports(&self) -> Vec<EndpointPort> {
        self.ports
            .iter()
            .cloned()
            .map(|(name, port, protocol, app_protocol)| EndpointPort { name, port, protocol, app_protocol })
            .collect()
    }
}

/// Pure. `existing` are the slices of this controller for this service.
pub(crate) fn plan(
    service: &Service,
    pods: &[Pod],
    node: impl Fn(&str) -> Option<Node>,
    existing: Vec<EndpointSlice>,
    max_per_slice: usize,
) -> Plan {
    let mut plan = Plan::default();
    let mut wanted = wanted_endpoints(service, pods, node, &mut plan.nodes_missing);
    let families = families(service, &existing);
    // A service without endpoints has one empty slice per family, so that its watchers know it was looked at.
    for family in &families {
        if !wanted.keys().any(|group| group.address_type == *family) {
            wanted.insert(Group::new(family, &[]), Vec::new());
        }
    }
    let mut by_group: BTreeMap<Group, Vec<EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        by_group.entry(Group::of(&slice)).or_default().push(slice);
    }
    for (group, endpoints) in wanted {
        let have = by_group.remove(&group).unwrap_or_default();
        plan_group(service, &group, endpoints, have, max_per_slice, &mut plan);
    }
    plan.delete.extend(by_group.into_values().flatten());
    reuse(service, &mut plan);
    plan
}

fn families(service: &Service, existing: &[EndpointSlice]) -> Vec<String> {
    let declared = service.spec.as_ref().and_then(|s| s.ip_families.clone()).unwrap_or_default();
    match (declared.is_empty(), existing.first()) {
        (false, _) => declared,
        // Services from before families had the one of their cluster address.
        (true, Some(slice)) => vec![slice.address_type.clone()],
        (true, None) => {
            let address = service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()).unwrap_or_default();
            vec![family(address).to_owned()]
        }
    }
}

fn wanted_endpoints(
    service: &Service,
    pods: &[Pod],
    node: impl Fn(&str) -> Option<Node>,
    nodes_missing: &mut bool,
) -> BTreeMap<Group, Vec<Endpoint>> {
    let families = families(service, &[]);
    let mut wanted: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| may_serve(pod, true)) {
        let node_name = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        let on = node(node_name);
        if on.is_none() && !publishes_not_ready(service) {
            *nodes_missing = true;
            continue;
        }
        let ports = endpoint_ports(service, pod);
        for address_type in &families {
            let addresses: Vec<String> =
                pod_ips(pod).into_iter().filter(|ip| family(ip) == address_type).map(str::to_owned).collect();
            if !addresses.is_empty() {
                let endpoint = endpoint(service, pod, on.as_ref(), addresses);
                wanted.entry(Group::new(address_type, &ports)).or_default().push(endpoint);
            }
        }
    }
    wanted
}

fn endpoint_ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(target_port(pod, port)?),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn endpoint(service: &Service, pod: &Pod, node: Option<&Node>, addresses: Vec<String>) -> Endpoint {
    let serving = is_pod_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let ready = publishes_not_ready(service) || (serving && !terminating);
    let zone = node.and_then(|node| node.metadata.labels.as_ref()?.get(ZONE_LABEL).cloned());
    let node_name = pod.spec.as_ref().and_then(|s| s.node_name.clone()).filter(|name| !name.is_empty());
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        hints: if ready { hints(service, zone.as_deref(), node_name.as_deref()) } else { None },
        node_name,
        zone,
        hostname: hostname(service, pod),
        ..Endpoint::default()
    }
}

/// Where traffic to the endpoint should come from, if the service asks for nearness.
fn hints(service: &Service, zone: Option<&str>, node: Option<&str>) -> Option<EndpointHints> {
    let distribution = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    let for_zones = zone.map(|zone| vec![ForZone { name: zone.to_owned() }]);
    let for_nodes = node.map(|node| vec![ForNode { name: node.to_owned() }]);
    match distribution {
        "PreferClose" | "PreferSameZone" => {
            for_zones.map(|zones| EndpointHints { for_zones: Some(zones), for_nodes: None })
        }
        "PreferSameNode" => Some(EndpointHints { for_zones, for_nodes }),
        _ => None,
    }
}

/// Changes slices of one group: endpoints stay in the slice they are in, new ones fill what has room.
fn plan_group(
    service: &Service,
    group: &Group,
    endpoints: Vec<Endpoint>,
    have: Vec<EndpointSlice>,
    max_per_slice: usize,
    plan: &mut Plan,
) {
    let keep_empty = endpoints.is_empty();
    let mut missing: HashMap<String, Endpoint> =
        endpoints.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    let mut slices: Vec<(EndpointSlice, bool)> = have
        .into_iter()
        .map(|mut slice| {
            let before = slice.endpoints.take().unwrap_or_default();
            let kept: Vec<Endpoint> = before.iter().filter_map(|e| missing.remove(&identity(e))).collect();
            let changed = kept != before;
            slice.endpoints = Some(kept);
            (slice, changed)
        })
        .collect();
    // In the order of their pods' names, so that the same pods make the same slices.
    let mut left: Vec<Endpoint> = missing.into_values().collect();
    left.sort_by_key(identity);
    // Slices that are written anyway first, then the fullest.
    slices.sort_by_key(|(slice, changed)| (!changed, std::cmp::Reverse(slice.endpoints.as_ref().map_or(0, Vec::len))));
    for (slice, changed) in &mut slices {
        let room = max_per_slice.saturating_sub(slice.endpoints.as_ref().map_or(0, Vec::len)).min(left.len());
        if room > 0 {
            slice.endpoints.get_or_insert_default().extend(left.drain(..room));
            *changed = true;
        }
    }
    let mut kept_one = false;
    for (mut slice, mut changed) in slices {
        let empty = slice.endpoints.as_ref().is_none_or(Vec::is_empty);
        if empty && (!keep_empty || kept_one) {
            plan.delete.push(slice);
            continue;
        }
        kept_one = true;
        changed |= set_metadata(service, &mut slice.metadata);
        if changed {
            plan.update.push(slice);
        }
    }
    while !left.is_empty() {
        let rest = left.split_off(max_per_slice.min(left.len()));
        plan.create.push(new_slice(service, group, std::mem::replace(&mut left, rest)));
    }
    if keep_empty && !kept_one {
        plan.create.push(new_slice(service, group, Vec::new()));
    }
}

/// Which pod an endpoint is.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.clone().unwrap_or_default();
    format!("{}/{}", target.name.unwrap_or_default(), target.uid.unwrap_or_default())
}

fn new_slice(service: &Service, group: &Group, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let mut metadata = ObjectMeta {
        generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or_default())),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    set_metadata(service, &mut metadata);
    EndpointSlice {
        metadata,
        address_type: group.address_type.clone(),
        ports: Some(group.ports()),
        endpoints: Some(endpoints),
    }
}

/// The service's labels and ours; says whether anything changed.
fn set_metadata(service: &Service, metadata: &mut ObjectMeta) -> bool {
    let mut labels: BTreeMap<String, String> = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if is_headless(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_LABEL.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    let owners: Vec<OwnerReference> = vec![owner_reference::<Service>(&service.metadata)];
    let changed = metadata.labels.as_ref() != Some(&labels) || metadata.owner_references.as_ref() != Some(&owners);
    metadata.labels = Some(labels);
    metadata.owner_references = Some(owners);
    changed
}

/// A slice to delete and one to make of the same family are one to change; its ports may change with it.
fn reuse(service: &Service, plan: &mut Plan) {
    let mut made = Vec::new();
    for new in std::mem::take(&mut plan.create) {
        let spare = plan.delete.iter().position(|old| {
            old.address_type == new.address_type
                && api::is_controlled_by(&old.metadata, service.metadata.uid.as_deref().unwrap_or_default())
        });
        match spare {
            Some(index) => {
                let mut slice = plan.delete.swap_remove(index);
                slice.ports = new.ports;
                slice.endpoints = new.endpoints;
                set_metadata(service, &mut slice.metadata);
                plan.update.push(slice);
            }
            None => made.push(new),
        }
    }
    plan.create = made;
}
