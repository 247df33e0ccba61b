//! What may change of a service, and what its status may say.

use api::core::v1::{Service, ServiceSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use super::validate;
use crate::rules;

const ONCE: &str = "may not change once set";

pub(super) fn update(new: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let none = ServiceSpec::default();
    let (spec, before) = (new.spec.as_ref().unwrap_or(&none), old.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec");
    let is_name = |spec: &ServiceSpec| rules::text(&spec.type_) == "ExternalName";
    if !is_name(spec) && !is_name(before) {
        cluster_ips(spec, before, &path, &mut errors);
        families(spec, before, &path, &mut errors);
    }
    let balanced = |spec: &ServiceSpec| rules::text(&spec.type_) == "LoadBalancer";
    if balanced(spec) && balanced(before) {
        let at = path.child("loadBalancerClass");
        rules::immutable(&spec.load_balancer_class, &before.load_balancer_class, &at, &mut errors);
    }
    let checked = |spec: &ServiceSpec| balanced(spec) && rules::text(&spec.external_traffic_policy) == "Local";
    if checked(spec) && checked(before) && spec.health_check_node_port != before.health_check_node_port {
        errors.push(Error::forbidden(&path.child("healthCheckNodePort"), rules::IMMUTABLE));
    }
    errors.extend(validate::service(new));
    errors
}

/// A second address may come and go; the first stays.
fn cluster_ips(spec: &ServiceSpec, before: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let (now, old) = (rules::slice(&spec.cluster_ips), rules::slice(&before.cluster_ips));
    let at = path.child("clusterIPs");
    for (index, (ip, was)) in now.iter().zip(old).enumerate() {
        if ip != was {
            errors.push(Error::invalid(&at.index(index), now.to_vec(), ONCE));
        }
    }
    if now.len() < old.len() {
        if now.is_empty() {
            errors.push(Error::invalid(&at.index(0), now.to_vec(), "primary clusterIP can not be unset"));
        } else {
            released(spec, "clusterIP", path, errors);
        }
    }
}

fn families(spec: &ServiceSpec, before: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let (now, old) = (rules::slice(&spec.ip_families), rules::slice(&before.ip_families));
    let at = path.child("ipFamilies");
    for (index, (family, was)) in now.iter().zip(old).enumerate() {
        if family != was {
            errors.push(Error::invalid(&at.index(index), now.to_vec(), ONCE));
        }
    }
    if now.len() < old.len() {
        if now.is_empty() {
            errors.push(Error::invalid(&at.index(0), now.to_vec(), "primary ipFamily can not be unset"));
        } else {
            released(spec, "ipFamily", path, errors);
        }
    }
}

fn released(spec: &ServiceSpec, what: &str, path: &Path, errors: &mut ErrorList) {
    let policy = rules::text(&spec.ip_family_policy);
    if policy != "SingleStack" {
        let why = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy, why));
    }
}

pub(super) fn status(new: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let ingress = |service: &Service| {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        status.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default()
    };
    let (now, before) = (ingress(new), ingress(old));
    let path = Path::new("status").children(&["loadBalancer", "ingress"]);
    let balanced = new.spec.as_ref().is_some_and(|spec| rules::text(&spec.type_) == "LoadBalancer");
    if !balanced && !now.is_empty() && now != before {
        errors.push(Error::forbidden(&path, "may only be used when `spec.type` is \"LoadBalancer\""));
        return errors;
    }
    for (index, one) in now.iter().enumerate() {
        let path = path.index(index);
        match rules::text(&one.ip) {
            "" => {
                if one.ip_mode.is_some() {
                    errors.push(Error::forbidden(&path.child("ipMode"), "may not be specified when `ip` is not set"));
                }
            }
            ip => {
                rules::ip(ip, &path.child("ip"), &mut errors);
                match &one.ip_mode {
                    None => errors.push(Error::required(&path.child("ipMode"), "must be specified when `ip` is set")),
                    Some(mode) => rules::one_of(mode, &["Proxy", "VIP"], &path.child("ipMode"), &mut errors),
                }
            }
        }
        let hostname = rules::text(&one.hostname);
        if !hostname.is_empty() {
            let at = path.child("hostname");
            rules::invalid_each(hostname, validation::dns1123_subdomain(hostname), &at, &mut errors);
            if rules::parse_ip(hostname).is_some() {
                errors.push(Error::invalid(&at, hostname, "must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}
