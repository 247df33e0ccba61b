//! Fields of a service that follow from others: `clusterIP` is the first of `clusterIPs`; what was allocated stays
//! when a client leaves it out, and goes with the type that needed it.

use api::core::v1::{Service, ServicePort, ServiceSpec};

use super::is_externally_accessible;
use crate::rules;

pub(super) fn prepare_for_create(service: &mut Service) {
    if let Some(spec) = &mut service.spec {
        let first = rules::text(&spec.cluster_ip);
        if !first.is_empty() && rules::slice(&spec.cluster_ips).is_empty() {
            spec.cluster_ips = Some(vec![first.to_owned()]);
        }
    }
}

pub(super) fn prepare_for_update(new: &mut Service, old: &Service) {
    let (Some(new), Some(old)) = (&mut new.spec, &old.spec) else { return };
    follow_cluster_ip(new, old);
    keep_allocated(new, old);
    drop_what_the_type_lacks(new, old);
}

/// A client that knows only `clusterIP` changed it.
fn follow_cluster_ip(new: &mut ServiceSpec, old: &ServiceSpec) {
    let (now, before) = (rules::text(&new.cluster_ip).to_owned(), rules::text(&old.cluster_ip));
    if now == before || rules::slice(&new.cluster_ips) != rules::slice(&old.cluster_ips) {
        if !now.is_empty() && rules::slice(&new.cluster_ips).is_empty() && now != before {
            new.cluster_ips = Some(vec![now]);
        }
        return;
    }
    new.cluster_ips = (!now.is_empty()).then(|| vec![now]);
}

fn needs_cluster_ip(spec: &ServiceSpec) -> bool {
    matches!(rules::text(&spec.type_), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn needs_node_port(spec: &ServiceSpec) -> bool {
    match rules::text(&spec.type_) {
        "NodePort" => true,
        "LoadBalancer" => spec.allocate_load_balancer_node_ports != Some(false),
        _ => false,
    }
}

fn needs_health_check(spec: &ServiceSpec) -> bool {
    rules::text(&spec.type_) == "LoadBalancer" && rules::text(&spec.external_traffic_policy) == "Local"
}

fn keep_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(new) && needs_cluster_ip(old) {
        if rules::text(&new.cluster_ip).is_empty() {
            new.cluster_ip = old.cluster_ip.clone();
        }
        if rules::slice(&new.cluster_ips).is_empty() && new.cluster_ip == old.cluster_ip {
            new.cluster_ips = old.cluster_ips.clone();
        }
        if new.ip_family_policy.is_none() && rules::slice(&new.ip_families).is_empty() {
            new.ip_family_policy = old.ip_family_policy.clone();
            new.ip_families = old.ip_families.clone();
        }
    }
    if needs_node_port(new) && needs_node_port(old) {
        keep_node_ports(new.ports.as_deref_mut().unwrap_or_default(), rules::slice(&old.ports));
    }
    if needs_health_check(new) && needs_health_check(old) && new.health_check_node_port.unwrap_or_default() == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
}

fn keep_node_ports(new: &mut [ServicePort], old: &[ServicePort]) {
    let same = |a: &ServicePort, b: &ServicePort| (&a.protocol, a.port) == (&b.protocol, b.port);
    for index in 0..new.len() {
        if new[index].node_port.unwrap_or_default() != 0 {
            continue;
        }
        let before = old.iter().find(|port| same(port, &new[index])).and_then(|port| port.node_port);
        let Some(before) = before.filter(|port| *port != 0) else { continue };
        let taken = |port: &ServicePort| port.node_port == Some(before) && port.protocol == new[index].protocol;
        if !new.iter().any(taken) {
            new[index].node_port = Some(before);
        }
    }
}

/// Fields that only the old type had, unless the client asked for them anew.
fn drop_what_the_type_lacks(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if new.cluster_ip == old.cluster_ip && new.cluster_ips == old.cluster_ips {
            (new.cluster_ip, new.cluster_ips) = (None, None);
        }
        if new.ip_families == old.ip_families {
            new.ip_families = None;
        }
        if new.ip_family_policy == old.ip_family_policy {
            new.ip_family_policy = None;
        }
        if new.internal_traffic_policy == old.internal_traffic_policy {
            new.internal_traffic_policy = None;
        }
    }
    if needs_node_port(old) && !needs_node_port(new) {
        let node_ports =
            |spec: &ServiceSpec| -> Vec<_> { rules::slice(&spec.ports).iter().filter_map(|p| p.node_port).collect() };
        if node_ports(new).iter().all(|port| node_ports(old).contains(port)) {
            new.ports.iter_mut().flatten().for_each(|port| port.node_port = None);
        }
    }
    if needs_health_check(old) && !needs_health_check(new) && new.health_check_node_port == old.health_check_node_port {
        new.health_check_node_port = None;
    }
    let balanced = |spec: &ServiceSpec| rules::text(&spec.type_) == "LoadBalancer";
    if balanced(old) && !balanced(new) {
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            new.allocate_load_balancer_node_ports = None;
        }
        if new.load_balancer_class == old.load_balancer_class {
            new.load_balancer_class = None;
        }
    }
    if is_externally_accessible(old)
        && !is_externally_accessible(new)
        && new.external_traffic_policy == old.external_traffic_policy
    {
        new.external_traffic_policy = None;
    }
}
