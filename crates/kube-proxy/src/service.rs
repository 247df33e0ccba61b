//! What one Service asks of the packet rules.

use std::net::Ipv4Addr;

use api::{core::v1::Service, discovery::v1::EndpointSlice};

use crate::{
    endpoints::{Targets, targets},
    rules::{Affinity, Door, Match, Protocol},
};

/// Upstream's default for `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_SECONDS: u32 = 10_800;

/// The doors through which the Service is reached on this node. A Service without ClusterIP has none.
pub(crate) fn doors(service: &Service, slices: &[EndpointSlice], node: &str) -> Vec<Door> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let address = |text: &String| text.parse::<Ipv4Addr>().ok();
    let Some(cluster_ip) = spec.cluster_ip.as_ref().and_then(address) else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let ingress = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|l| l.ingress.as_ref());
    let outside: Vec<Ipv4Addr> = spec
        .external_ips
        .iter()
        .flatten()
        .filter_map(address)
        .chain(ingress.into_iter().flatten().filter_map(|i| i.ip.as_ref().and_then(address)))
        .collect();
    let internal_local = spec.internal_traffic_policy.as_deref() == Some("Local");
    let external_local = spec.external_traffic_policy.as_deref() == Some("Local");
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let configured = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref()?.timeout_seconds);
        Affinity { seconds: configured.and_then(|s| u32::try_from(s).ok()).unwrap_or(AFFINITY_SECONDS) }
    });

    let mut doors = Vec::new();
    for port in spec.ports.iter().flatten() {
        let Some(protocol) = Protocol::parse(port.protocol.as_deref().unwrap_or("TCP")) else { continue };
        let Ok(number) = u16::try_from(port.port) else { continue };
        let found = targets(slices, port.name.as_deref().unwrap_or_default(), protocol.name(), node);
        let pick = |local: bool, Targets { all, local: here, .. }: Targets| if local { here } else { all };
        doors.push(Door {
            at: Match::Address { address: cluster_ip, protocol, port: number },
            targets: pick(internal_local, found.clone()),
            affinity,
            masquerade: false,
            drop_when_empty: internal_local && !found.all.is_empty(),
            serving: found.serving.clone(),
        });
        let external = |at: Match| Door {
            at,
            targets: pick(external_local, found.clone()),
            affinity,
            masquerade: !external_local,
            drop_when_empty: external_local && !found.all.is_empty(),
            serving: found.serving.clone(),
        };
        doors.extend(outside.iter().map(|a| external(Match::Address { address: *a, protocol, port: number })));
        if let Some(node_port) = port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0) {
            doors.push(external(Match::NodePort { protocol, port: node_port }));
        }
    }
    doors
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::{Value, json};

    use super::*;

    fn doors_of(spec: Value, endpoints: Value) -> Vec<Door> {
        let service = serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap();
        let slice = json!({"metadata": {"name": "s-1"}, "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "", "protocol": "TCP", "port": 8080}]});
        doors(&service, &[serde_json::from_value(slice).unwrap()], "here")
    }

    fn endpoint(address: &str, node: &str, ready: bool) -> Value {
        json!({"addresses": [address], "nodeName": node,
            "conditions": {"ready": ready, "serving": true, "terminating": !ready}})
    }

    fn addresses(door: &Door) -> Vec<String> {
        door.targets.iter().map(|t| t.address.to_string()).collect()
    }

    #[test]
    fn a_node_port_has_two_doors() {
        let spec = json!({"clusterIP": "10.96.0.5", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
        let doors = doors_of(spec, json!([endpoint("10.42.0.3", "here", true), endpoint("10.42.1.3", "there", true)]));
        assert_eq!(doors.len(), 2);
        assert_eq!(addresses(&doors[0]), ["10.42.0.3", "10.42.1.3"]);
        assert_eq!(doors[1].at, Match::NodePort { protocol: Protocol::Tcp, port: 30080 });
        assert!(doors[1].masquerade && !doors[0].masquerade);
    }

    #[test]
    fn local_policy_keeps_to_this_node_and_the_clients_address() {
        let spec = json!({"clusterIP": "10.96.0.5", "type": "NodePort", "externalTrafficPolicy": "Local",
            "ports": [{"port": 80, "nodePort": 30080}]});
        let doors = doors_of(spec, json!([endpoint("10.42.1.3", "there", true)]));
        assert_eq!(addresses(&doors[0]), ["10.42.1.3"]);
        assert!(doors[1].targets.is_empty() && doors[1].drop_when_empty && !doors[1].masquerade);
    }

    #[test]
    fn the_terminating_serve_while_nobody_is_ready() {
        let spec = json!({"clusterIP": "10.96.0.5", "ports": [{"port": 80}]});
        let both = json!([endpoint("10.42.0.3", "here", true), endpoint("10.42.0.4", "here", false)]);
        assert_eq!(addresses(&doors_of(spec.clone(), both)[0]), ["10.42.0.3"]);
        let one = json!([endpoint("10.42.0.4", "here", false)]);
        assert_eq!(addresses(&doors_of(spec, one)[0]), ["10.42.0.4"]);
    }

    #[test]
    fn headless_and_external_names_have_no_door() {
        assert!(doors_of(json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!([])).is_empty());
        assert!(doors_of(json!({"type": "ExternalName", "externalName": "x.y"}), json!([])).is_empty());
    }
}
