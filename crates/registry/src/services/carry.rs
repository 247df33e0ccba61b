//! What an update of a Service may leave out because it was given before, and what goes with a change of type.

use apimachinery::Object;
use serde_json::Value;

use super::holdings::{
    health_check_port, is_external_name, list, needs_health_check_port, needs_node_ports, node_port, text,
};

/// Carries over what was allocated, and drops what the new type has no use for unless it was changed on purpose.
pub(crate) fn carry_over(new: &mut Object, old: &Object) {
    keep_given(new, old);
    drop_useless(new, old);
}

fn copy(new: &mut Object, old: &Object, field: &str) {
    if let Some(value) = old.get(&["spec", field]) {
        new.set(&["spec", field], value.clone());
    }
}

fn keep_given(new: &mut Object, old: &Object) {
    if !is_external_name(new) && !is_external_name(old) {
        if text(new, "clusterIP").is_empty() && list(new, "clusterIPs").is_empty() {
            copy(new, old, "clusterIP");
            copy(new, old, "clusterIPs");
        } else if text(new, "clusterIP") == text(old, "clusterIP") && list(new, "clusterIPs").is_empty() {
            copy(new, old, "clusterIPs");
        } else if text(new, "clusterIP").is_empty() && list(new, "clusterIPs") == list(old, "clusterIPs") {
            copy(new, old, "clusterIP");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if new.get(&["spec", field]).is_none() {
                copy(new, old, field);
            }
        }
    }
    if needs_node_ports(new) && needs_node_ports(old) {
        keep_node_ports(new, old);
    }
    if needs_health_check_port(new) && needs_health_check_port(old) && health_check_port(new).is_none() {
        copy(new, old, "healthCheckNodePort");
    }
}

fn key(port: &Value) -> (Option<i64>, &str) {
    (port["port"].as_i64(), port["protocol"].as_str().unwrap_or_default())
}

fn keep_node_ports(new: &mut Object, old: &Object) {
    let mut ports = list(new, "ports").to_vec();
    let mut used: Vec<u16> = ports.iter().filter_map(node_port).collect();
    for port in ports.iter_mut().filter(|port| node_port(port).is_none()) {
        let before = list(old, "ports").iter().find(|before| key(before) == key(port)).and_then(node_port);
        if let Some(number) = before.filter(|number| !used.contains(number)) {
            used.push(number);
            port["nodePort"] = number.into();
        }
    }
    if !ports.is_empty() {
        new.set(&["spec", "ports"], ports);
    }
}

fn drop_useless(new: &mut Object, old: &Object) {
    let unchanged = |new: &Object, field: &str| new.get(&["spec", field]) == old.get(&["spec", field]);
    let mut useless: Vec<&str> = Vec::new();
    if is_external_name(new) && !is_external_name(old) {
        useless.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        useless.push("healthCheckNodePort");
    }
    if text(old, "type") == "LoadBalancer" && text(new, "type") != "LoadBalancer" {
        useless.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    let accessible = |service: &Object| {
        matches!(text(service, "type"), "NodePort" | "LoadBalancer") || !list(service, "externalIPs").is_empty()
    };
    if accessible(old) && !accessible(new) {
        useless.push("externalTrafficPolicy");
    }
    for field in useless {
        if unchanged(new, field) {
            new.remove(&["spec", field]);
        }
    }
    if needs_node_ports(old) && !needs_node_ports(new) && text(new, "type") != "LoadBalancer" {
        drop_node_ports(new, old);
    }
}

/// Node ports go with the type that had them, unless somebody changed them, which validation then refuses.
fn drop_node_ports(new: &mut Object, old: &Object) {
    let given: Vec<u16> = list(old, "ports").iter().filter_map(node_port).collect();
    let mut ports = list(new, "ports").to_vec();
    if !ports.iter().filter_map(node_port).all(|port| given.contains(&port)) {
        return;
    }
    ports.iter_mut().filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("nodePort")));
    if !ports.is_empty() {
        new.set(&["spec", "ports"], ports);
    }
}
