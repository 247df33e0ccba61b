//! What a Service holds and what it needs, read from the object.

use std::net::IpAddr;

use apimachinery::Object;
use serde_json::Value;

/// Addresses and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
}

impl Holdings {
    pub(super) fn of(service: &Object) -> Self {
        let addresses = match needs_address(service) {
            true => cluster_ips(service).iter().filter_map(|ip| ip.parse().ok()).collect(),
            false => Vec::new(),
        };
        let mut ports: Vec<u16> = list(service, "ports").iter().filter_map(node_port).collect();
        ports.extend(health_check_port(service));
        ports.sort_unstable();
        ports.dedup();
        Self { addresses, ports }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        Self {
            addresses: self.addresses.iter().filter(|a| !other.addresses.contains(a)).copied().collect(),
            ports: self.ports.iter().filter(|p| !other.ports.contains(p)).copied().collect(),
        }
    }
}

pub(super) fn text<'a>(service: &'a Object, field: &str) -> &'a str {
    service.get_str(&["spec", field]).unwrap_or_default()
}

pub(super) fn list<'a>(service: &'a Object, field: &str) -> &'a [Value] {
    service.get(&["spec", field]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The addresses, whichever of the two fields they stand in.
pub(super) fn cluster_ips(service: &Object) -> Vec<String> {
    let all: Vec<String> = list(service, "clusterIPs").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    match (all.is_empty(), text(service, "clusterIP")) {
        (true, "") => all,
        (true, one) => vec![one.to_owned()],
        (false, _) => all,
    }
}

pub(super) fn is_headless(service: &Object) -> bool {
    cluster_ips(service).first().is_some_and(|ip| ip == "None")
}

pub(super) fn is_external_name(service: &Object) -> bool {
    text(service, "type") == "ExternalName"
}

pub(super) fn needs_address(service: &Object) -> bool {
    !is_external_name(service) && !is_headless(service)
}

pub(super) fn needs_node_ports(service: &Object) -> bool {
    match text(service, "type") {
        "NodePort" => true,
        "LoadBalancer" => service.get(&["spec", "allocateLoadBalancerNodePorts"]) != Some(&Value::Bool(false)),
        _ => false,
    }
}

pub(super) fn needs_health_check_port(service: &Object) -> bool {
    text(service, "type") == "LoadBalancer" && text(service, "externalTrafficPolicy") == "Local"
}

pub(super) fn node_port(port: &Value) -> Option<u16> {
    port.get("nodePort").and_then(Value::as_i64).filter(|port| *port != 0).and_then(|port| u16::try_from(port).ok())
}

pub(super) fn health_check_port(service: &Object) -> Option<u16> {
    let port = service.get(&["spec", "healthCheckNodePort"]).and_then(Value::as_i64)?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}
