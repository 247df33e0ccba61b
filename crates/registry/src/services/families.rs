//! IP families of Services in a cluster that has one family.

use apimachinery::{
    Object,
    field::{Error, ErrorList, Path},
};
use serde_json::{Value, json};

use super::holdings::{cluster_ips, is_external_name, is_headless, list, text};

/// Completes `clusterIPs`, `ipFamilies` and `ipFamilyPolicy`, and refuses families the cluster does not have.
pub(super) fn complete(service: &mut Object, old: Option<&Object>, ipv4: bool, errors: &mut ErrorList) {
    if is_external_name(service) {
        return;
    }
    let ips = cluster_ips(service);
    if !ips.is_empty() && list(service, "clusterIPs").is_empty() {
        service.set(&["spec", "clusterIPs"], ips.clone());
    }
    let ours = if ipv4 { "IPv4" } else { "IPv6" };
    let without_selector = service.get(&["spec", "selector"]).and_then(Value::as_object).is_none_or(|s| s.is_empty());
    if is_headless(service) && without_selector {
        return headless_without_selector(service, ours);
    }
    let unchanged = old.is_some_and(|old| {
        ["ipFamilies", "ipFamilyPolicy"].iter().all(|field| old.get(&["spec", field]) == service.get(&["spec", field]))
            && !is_external_name(old)
    });
    if !unchanged {
        check(service, ours, &ips, errors);
    }
    if list(service, "ipFamilies").is_empty() {
        service.set(&["spec", "ipFamilies"], json!([ours]));
    }
    if text(service, "ipFamilyPolicy").is_empty() {
        service.set(&["spec", "ipFamilyPolicy"], "SingleStack");
    }
}

/// Whoever writes the endpoints of such a Service chooses their families.
fn headless_without_selector(service: &mut Object, ours: &str) {
    let other = if ours == "IPv4" { "IPv6" } else { "IPv4" };
    if text(service, "ipFamilyPolicy").is_empty() {
        let policy = if list(service, "ipFamilies").len() == 1 { "SingleStack" } else { "RequireDualStack" };
        service.set(&["spec", "ipFamilyPolicy"], policy);
    }
    let mut families: Vec<Value> = list(service, "ipFamilies").to_vec();
    if families.is_empty() {
        families.push(ours.into());
    }
    if families.len() == 1 && text(service, "ipFamilyPolicy") != "SingleStack" {
        families.push(if families[0] == ours { other.into() } else { ours.into() });
    }
    service.set(&["spec", "ipFamilies"], families);
}

fn check(service: &Object, ours: &str, ips: &[String], errors: &mut ErrorList) {
    let spec = Path::new("spec");
    if text(service, "ipFamilyPolicy") == "RequireDualStack" {
        const WHY: &str = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid(&spec.child("ipFamilyPolicy"), "RequireDualStack", WHY));
    }
    for (index, family) in list(service, "ipFamilies").iter().filter_map(Value::as_str).enumerate() {
        // Other words than these are no families at all, which the kind's own rules say.
        if matches!(family, "IPv4" | "IPv6") && family != ours {
            let path = spec.child("ipFamilies").index(index);
            errors.push(Error::invalid(&path, family, "not configured on this cluster"));
        }
    }
    for (index, ip) in ips.iter().enumerate() {
        let Ok(address) = ip.parse::<std::net::IpAddr>() else { continue };
        if address.is_ipv4() != (ours == "IPv4") {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let path = spec.child("clusterIPs").index(index);
            errors.push(Error::invalid(&path, ip.as_str(), format!("{family} is not configured on this cluster")));
        }
    }
}
