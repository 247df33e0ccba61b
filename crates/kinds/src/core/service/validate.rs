//! What a service must satisfy, after addresses and node ports are allocated.

use std::collections::HashSet;

use api::core::v1::{Service, ServicePort, ServiceSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use super::is_externally_accessible;
use crate::rules;

const MOST_AFFINITY_SECONDS: i32 = 24 * 60 * 60;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) fn is_headless(spec: &ServiceSpec) -> bool {
    rules::slice(&spec.cluster_ips).first().or(spec.cluster_ip.as_ref()).is_some_and(|ip| ip == "None")
}

pub(super) fn service(service: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let none = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    by_type(spec, &path, &mut errors);
    ports(spec, &path.child("ports"), &mut errors);
    rules::labels(spec.selector.as_ref(), &path.child("selector"), &mut errors);
    affinity(spec, &path, &mut errors);
    cluster_ips(spec, &path, &mut errors);
    for (index, ip) in rules::slice(&spec.external_ips).iter().enumerate() {
        rules::routable_ip(ip, &path.child("externalIPs").index(index), &mut errors);
    }
    load_balancer(spec, &path, &mut errors);
    annotations(service, spec, &mut errors);
    policies(spec, &path, &mut errors);
    errors
}

/// Annotations that say the same as fields, or as each other.
fn annotations(service: &Service, spec: &ServiceSpec, errors: &mut ErrorList) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let Some(notes) = &service.metadata.annotations else { return };
    let path = Path::new("metadata").child("annotations");
    if let (Some(mode), Some(hints)) = (notes.get(MODE), notes.get(HINTS))
        && mode != hints
    {
        let why = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(Error::invalid(&path.key(MODE), mode.as_str(), why));
    }
    let ranges = notes.get(RANGES).filter(|_| rules::slice(&spec.load_balancer_source_ranges).is_empty());
    let Some(ranges) = ranges else { return };
    let at = path.key(RANGES);
    if rules::text(&spec.type_) != "LoadBalancer" {
        errors.push(Error::forbidden(&at, ONLY_LOAD_BALANCER));
    }
    for range in ranges.split(',').map(str::trim).filter(|_| !ranges.trim().is_empty()) {
        if rules::parse_cidr(range).is_none() {
            errors.push(Error::invalid(&at, range, rules::CIDR_MESSAGE));
        }
    }
}

fn by_type(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let kind = rules::text(&spec.type_);
    let has_ports = !rules::slice(&spec.ports).is_empty();
    if !has_ports && !is_headless(spec) && kind != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    match kind {
        "" => errors.push(Error::required(&path.child("type"), "")),
        "ClusterIP" => {}
        "NodePort" | "LoadBalancer" => {
            if is_headless(spec) {
                let why = format!("may not be set to 'None' for {kind} services");
                errors.push(Error::invalid(&path.child("clusterIPs").index(0), "None", why));
            }
        }
        "ExternalName" => external_name(spec, path, errors),
        other => {
            let supported = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            errors.push(Error::not_supported(&path.child("type"), other, &supported));
        }
    }
}

fn external_name(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let fields = [
        (!rules::slice(&spec.cluster_ips).is_empty(), "clusterIPs"),
        (!rules::slice(&spec.ip_families).is_empty(), "ipFamilies"),
        (spec.ip_family_policy.is_some(), "ipFamilyPolicy"),
    ];
    for (is_set, field) in fields {
        if is_set {
            errors.push(Error::forbidden(&path.child(field), "may not be set for ExternalName services"));
        }
    }
    let name = rules::text(&spec.external_name);
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(Error::required(&path.child("externalName"), "")),
        name => rules::subdomain(name, &path.child("externalName"), errors),
    }
}

fn ports(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let ports = rules::slice(&spec.ports);
    let (mut names, mut taken, mut taken_on_nodes) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        match rules::text(&port.name) {
            "" if ports.len() > 1 => errors.push(Error::required(&path.child("name"), "")),
            "" => {}
            name => {
                rules::label(name, &path.child("name"), errors);
                if !names.insert(name) {
                    errors.push(Error::duplicate(&path.child("name"), name));
                }
            }
        }
        one_port(port, &path, errors);
        let protocol = rules::text(&port.protocol);
        if !taken.insert((protocol, port.port)) {
            let value = serde_json::json!({"protocol": protocol, "port": port.port});
            errors.push(Error::duplicate(&path, value));
        }
        let Some(node_port) = port.node_port.filter(|port| *port != 0) else { continue };
        let at = path.child("nodePort");
        if rules::text(&spec.type_) == "ClusterIP" {
            errors.push(Error::forbidden(&at, "may not be used when `type` is 'ClusterIP'"));
        }
        if !taken_on_nodes.insert((protocol, node_port)) {
            errors.push(Error::duplicate(&at, node_port));
        }
    }
}

fn one_port(port: &ServicePort, path: &Path, errors: &mut ErrorList) {
    rules::port_number(port.port.into(), &path.child("port"), errors);
    rules::protocol(rules::text(&port.protocol), &path.child("protocol"), errors);
    if let Some(target) = &port.target_port {
        rules::port_number_or_name(target, &path.child("targetPort"), errors);
    }
    if let Some(protocol) = &port.app_protocol {
        rules::qualified_name(protocol, &path.child("appProtocol"), errors);
    }
}

fn affinity(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let affinity = rules::text(&spec.session_affinity);
    match affinity {
        "" => errors.push(Error::required(&path.child("sessionAffinity"), "")),
        affinity => rules::one_of(affinity, &["ClientIP", "None"], &path.child("sessionAffinity"), errors),
    }
    let at = path.child("sessionAffinityConfig");
    let client_ip = spec.session_affinity_config.as_ref().map(|config| config.client_ip.as_ref());
    match (affinity, client_ip) {
        ("None", Some(_)) => {
            errors.push(Error::forbidden(&at, "must not be set when session affinity is None"));
        }
        ("ClientIP", None) => errors.push(Error::required(&at, "when session affinity type is ClientIP")),
        ("ClientIP", Some(None)) => {
            errors.push(Error::required(&at.child("clientIP"), "when session affinity type is ClientIP"));
        }
        ("ClientIP", Some(Some(config))) => {
            let at = at.children(&["clientIP", "timeoutSeconds"]);
            let seconds = config.timeout_seconds.unwrap_or_default();
            if !(1..=MOST_AFFINITY_SECONDS).contains(&seconds) {
                let why = format!("must be greater than 0 and less than {MOST_AFFINITY_SECONDS}");
                errors.push(Error::invalid(&at, seconds, why));
            }
        }
        _ => {}
    }
}

/// Addresses and their families, which tell the same story twice.
fn cluster_ips(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    if rules::text(&spec.type_) == "ExternalName" {
        return;
    }
    let at = path.child("clusterIPs");
    let (first, all) = (rules::text(&spec.cluster_ip), rules::slice(&spec.cluster_ips));
    match (first, all.first()) {
        ("", Some(_)) => {
            errors.push(Error::invalid(&at, all.to_vec(), "must be empty when `clusterIP` is empty"));
        }
        ("", None) => {}
        (_, None) => errors.push(Error::required(&at, "")),
        (first, Some(listed)) if listed != first => {
            errors.push(Error::invalid(&at, all.to_vec(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let families = rules::slice(&spec.ip_families);
    for (index, family) in families.iter().enumerate() {
        let at = path.child("ipFamilies").index(index);
        rules::one_of(family, &["IPv4", "IPv6"], &at, errors);
        if families[..index].contains(family) {
            errors.push(Error::duplicate(&at, family.as_str()));
        }
    }
    if let Some(policy) = &spec.ip_family_policy {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        rules::one_of(policy, &supported, &path.child("ipFamilyPolicy"), errors);
    }
    if addresses(all, &at, errors) && !is_headless(spec) {
        match_families(all, families, &at, errors);
    }
}

/// Whether all are addresses, or the one word that stands for none.
fn addresses(all: &[String], path: &Path, errors: &mut ErrorList) -> bool {
    if all.first().is_some_and(|ip| ip == "None") {
        if all.len() > 1 {
            errors.push(Error::invalid(path, all.to_vec(), "'None' must be the first and only value"));
        }
        return all.len() == 1;
    }
    let mut parsed = Vec::new();
    for (index, ip) in all.iter().enumerate() {
        match rules::parse_ip(ip) {
            Some(address) => parsed.push(address),
            None => errors.push(Error::invalid(&path.index(index), ip.as_str(), rules::IP_MESSAGE)),
        }
    }
    if all.len() > 2 {
        errors.push(Error::invalid(path, all.to_vec(), "may only hold up to 2 values"));
    }
    if parsed.len() == 2 && parsed[0].is_ipv4() == parsed[1].is_ipv4() {
        let why = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(path, all.to_vec(), why));
    }
    parsed.len() == all.len()
}

fn match_families(all: &[String], families: &[String], path: &Path, errors: &mut ErrorList) {
    for (index, (ip, family)) in all.iter().zip(families).enumerate() {
        let is_ipv4 = rules::parse_ip(ip).is_some_and(|ip| ip.is_ipv4());
        if matches!(family.as_str(), "IPv4" | "IPv6") && is_ipv4 != (family == "IPv4") {
            let why = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&path.index(index), ip.as_str(), why));
        }
    }
}

fn load_balancer(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let balanced = rules::text(&spec.type_) == "LoadBalancer";
    let ranges = rules::slice(&spec.load_balancer_source_ranges);
    // The path is upstream's, capital and all.
    let at = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        errors.push(Error::forbidden(&at, ONLY_LOAD_BALANCER));
    }
    for (index, range) in ranges.iter().enumerate() {
        // Padding was once allowed.
        if rules::parse_cidr(range.trim()).is_none() {
            errors.push(Error::invalid(&at.index(index), range.trim(), rules::CIDR_MESSAGE));
        }
    }
    let at = path.child("allocateLoadBalancerNodePorts");
    match spec.allocate_load_balancer_node_ports {
        Some(_) if !balanced => errors.push(Error::forbidden(&at, ONLY_LOAD_BALANCER)),
        None if balanced => errors.push(Error::required(&at, "")),
        _ => {}
    }
    if let Some(class) = &spec.load_balancer_class {
        let at = path.child("loadBalancerClass");
        if !balanced {
            errors.push(Error::forbidden(&at, ONLY_LOAD_BALANCER));
        }
        rules::qualified_name(class, &at, errors);
    }
}

fn policies(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let external = rules::text(&spec.external_traffic_policy);
    let at = path.child("externalTrafficPolicy");
    match (is_externally_accessible(spec), external) {
        (false, "") => {}
        (false, policy) => {
            errors.push(Error::invalid(&at, policy, "may only be set for externally-accessible services"));
        }
        (true, "") => errors.push(Error::required(&at, "")),
        (true, policy) => rules::one_of(policy, &["Cluster", "Local"], &at, errors),
    }
    let health_check = spec.health_check_node_port.unwrap_or_default();
    let checked = rules::text(&spec.type_) == "LoadBalancer" && external == "Local";
    if health_check != 0 {
        let at = path.child("healthCheckNodePort");
        if !checked {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(&at, health_check, why));
        } else if !validation::port_number(health_check.into()).is_empty() {
            rules::port_number(health_check.into(), &at, errors);
        }
    }
    let at = path.child("internalTrafficPolicy");
    match (rules::text(&spec.type_), spec.internal_traffic_policy.as_deref()) {
        ("ClusterIP" | "NodePort" | "LoadBalancer", None) => errors.push(Error::required(&at, "")),
        (_, None) => {}
        (_, Some(policy)) => rules::one_of(policy, &["Cluster", "Local"], &at, errors),
    }
    if let Some(distribution) = &spec.traffic_distribution {
        let supported = ["PreferClose", "PreferSameNode", "PreferSameZone"];
        rules::one_of(distribution, &supported, &path.child("trafficDistribution"), errors);
    }
}

/// Fields of headless services that nobody looks at.
pub(super) fn warnings(service: &Service) -> Vec<String> {
    let Some(spec) = service.spec.as_ref() else { return Vec::new() };
    let kind = rules::text(&spec.type_);
    let mut warnings = Vec::new();
    let external_ips = !rules::slice(&spec.external_ips).is_empty();
    if kind == "ExternalName" && external_ips {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if is_headless(spec) {
        let fields = [
            (!rules::text(&spec.load_balancer_ip).is_empty(), "spec.loadBalancerIP"),
            (external_ips, "spec.externalIPs"),
            (rules::text(&spec.session_affinity) != "None", "spec.SessionAffinity"),
        ];
        let ignored = fields.iter().filter(|(is_set, _)| *is_set);
        warnings.extend(ignored.map(|(_, field)| format!("{field} is ignored for headless services")));
    }
    warnings
}
