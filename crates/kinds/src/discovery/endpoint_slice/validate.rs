//! What an endpoint slice must satisfy.

use std::collections::HashSet;

use api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::rules;

const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;
const MOST_HINTS: usize = 8;
const MOST_TOPOLOGY_LABELS: usize = 16;

pub(super) fn endpoint_slice(slice: &EndpointSlice) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("addressType");
    match slice.address_type.as_str() {
        "" => errors.push(Error::required(&path, "")),
        kind => rules::one_of(kind, &["FQDN", "IPv4", "IPv6"], &path, &mut errors),
    }
    let path = Path::new("endpoints");
    let endpoints = rules::slice(&slice.endpoints);
    if endpoints.len() > MOST_ENDPOINTS {
        errors.push(Error::too_many(&path, endpoints.len(), MOST_ENDPOINTS));
    } else {
        for (index, one) in endpoints.iter().enumerate() {
            endpoint(one, &slice.address_type, &path.index(index), &mut errors);
        }
    }
    ports(rules::slice(&slice.ports), &Path::new("ports"), &mut errors);
    errors
}

fn endpoint(endpoint: &Endpoint, address_type: &str, path: &Path, errors: &mut ErrorList) {
    let at = path.child("addresses");
    let addresses = &endpoint.addresses;
    if addresses.is_empty() {
        errors.push(Error::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > MOST_ADDRESSES {
        errors.push(Error::too_many(&at, addresses.len(), MOST_ADDRESSES));
    } else {
        for (index, address) in addresses.iter().enumerate() {
            self::address(address, address_type, &at.index(index), errors);
        }
    }
    if let Some(name) = &endpoint.node_name {
        rules::subdomain(name, &path.child("nodeName"), errors);
    }
    topology(endpoint, &path.child("deprecatedTopology"), errors);
    if let Some(hostname) = &endpoint.hostname {
        rules::label(hostname, &path.child("hostname"), errors);
    }
    hints(endpoint, &path.child("hints"), errors);
}

fn address(address: &str, address_type: &str, path: &Path, errors: &mut ErrorList) {
    let parsed = rules::parse_ip(address);
    match address_type {
        "IPv4" | "IPv6" => {
            if parsed.is_none_or(|ip| ip.is_ipv4() != (address_type == "IPv4")) {
                errors.push(Error::invalid(path, address, format!("must be a valid {address_type} address")));
            }
            rules::endpoint_ip(address, path, errors);
        }
        "FQDN" => {
            let judged = validation::dns1123_subdomain(address);
            if judged.is_empty() && !address.contains('.') {
                let why = "should be a domain with at least two segments separated by dots";
                errors.push(Error::invalid(path, address, why));
            }
            rules::invalid_each(address, judged, path, errors);
        }
        _ => {}
    }
}

fn topology(endpoint: &Endpoint, path: &Path, errors: &mut ErrorList) {
    let Some(labels) = endpoint.deprecated_topology.as_ref() else { return };
    if labels.len() > MOST_TOPOLOGY_LABELS {
        errors.push(Error::too_many(path, labels.len(), MOST_TOPOLOGY_LABELS));
    }
    rules::labels(Some(labels), path, errors);
}

fn hints(endpoint: &Endpoint, path: &Path, errors: &mut ErrorList) {
    let Some(hints) = &endpoint.hints else { return };
    let zones: Vec<&str> = rules::slice(&hints.for_zones).iter().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = rules::slice(&hints.for_nodes).iter().map(|node| node.name.as_str()).collect();
    for (names, field, what) in [(zones, "forZones", "zone"), (nodes, "forNodes", "node")] {
        let at = path.child(field);
        if names.len() > MOST_HINTS {
            errors.push(Error::too_many(&at, names.len(), MOST_HINTS));
            continue;
        }
        let mut seen = HashSet::new();
        for (index, name) in names.into_iter().enumerate() {
            let at = at.index(index).child("name");
            if name.is_empty() {
                errors.push(Error::required(&at, format!("{what} name is required")));
            } else if what == "zone" {
                rules::qualified_name(name, &at, errors);
            } else {
                rules::subdomain(name, &at, errors);
            }
            if !seen.insert(name) {
                errors.push(Error::duplicate(&at, name));
            }
        }
    }
}

fn ports(ports: &[EndpointPort], path: &Path, errors: &mut ErrorList) {
    if ports.len() > MOST_PORTS {
        errors.push(Error::too_many(path, ports.len(), MOST_PORTS));
        return;
    }
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = rules::text(&port.name);
        if !name.is_empty() {
            rules::label(name, &path.child("name"), errors);
        }
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        rules::protocol(rules::text(&port.protocol), &path.child("protocol"), errors);
        if let Some(number) = port.port {
            rules::port_number(number.into(), &path.child("port"), errors);
        }
        if let Some(protocol) = &port.app_protocol {
            rules::qualified_name(protocol, &path.child("appProtocol"), errors);
        }
    }
}
