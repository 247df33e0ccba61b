//! Defaults of services. Addresses and node ports are not defaults: the registry allocates them.

use api::IntOrString;
use api::core::v1::{Service, ServicePort, ServiceSpec};

use crate::core::pod_spec::defaults::set_text;

const AFFINITY_SECONDS: i32 = 3 * 60 * 60;

pub(super) fn spec(spec: &mut ServiceSpec) {
    set_text(&mut spec.session_affinity, "None");
    match spec.session_affinity.as_deref() {
        Some("None") => spec.session_affinity_config = None,
        Some("ClientIP") => {
            let client_ip = spec.session_affinity_config.get_or_insert_default().client_ip.get_or_insert_default();
            client_ip.timeout_seconds.get_or_insert(AFFINITY_SECONDS);
        }
        _ => {}
    }
    set_text(&mut spec.type_, "ClusterIP");
    spec.ports.iter_mut().flatten().for_each(port);
    let kind = spec.type_.as_deref();
    if super::is_externally_accessible(spec) {
        set_text(&mut spec.external_traffic_policy, "Cluster");
    }
    if matches!(kind, Some("ClusterIP" | "NodePort" | "LoadBalancer")) {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    }
    if spec.type_.as_deref() == Some("LoadBalancer") {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
    spec.publish_not_ready_addresses = spec.publish_not_ready_addresses.filter(|set| *set);
}

fn port(port: &mut ServicePort) {
    set_text(&mut port.protocol, "TCP");
    let unset = match &port.target_port {
        None => true,
        Some(IntOrString::Int(number)) => *number == 0,
        Some(IntOrString::String(name)) => name.is_empty(),
    };
    if unset {
        port.target_port = Some(IntOrString::Int(port.port));
    }
    port.node_port = port.node_port.filter(|port| *port != 0);
}

pub(super) fn status(service: &mut Service) {
    let balanced = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"));
    let status = service.status.get_or_insert_default().load_balancer.get_or_insert_default();
    for ingress in status.ingress.iter_mut().flatten() {
        if balanced && ingress.ip.as_deref().is_some_and(|ip| !ip.is_empty()) {
            ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}
