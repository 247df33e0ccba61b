//! What a node must satisfy.

use std::collections::HashSet;

use api::core::v1::{Node, NodeSpec, Taint};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::core::pod_spec;
use crate::rules;

pub(super) fn node(node: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    resources(node, &mut errors);
    let spec = node.spec.clone().unwrap_or_default();
    // Upstream looks for taints in the metadata.
    taints(rules::slice(&spec.taints), &Path::new("metadata").child("taints"), &mut errors);
    pod_networks(&spec, &Path::new("spec").child("podCIDRs"), &mut errors);
    errors
}

fn resources(node: &Node, errors: &mut ErrorList) {
    let Some(status) = &node.status else { return };
    for (amounts, field) in [(&status.capacity, "capacity"), (&status.allocatable, "allocatable")] {
        for (name, quantity) in amounts.iter().flatten() {
            let at = Path::new("status").child(field).child(name);
            pod_spec::resources::resource_quantity(name, quantity, &at, errors);
        }
    }
}

fn taints(taints: &[Taint], path: &Path, errors: &mut ErrorList) {
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        rules::qualified_name(&taint.key, &path.child("key"), errors);
        let value = rules::text(&taint.value);
        let judged = validation::label_value(value);
        if !judged.is_empty() {
            errors.push(Error::invalid(&path.child("value"), value, judged.join(";")));
        }
        match taint.effect.as_str() {
            "" => errors.push(Error::required(&path.child("effect"), "")),
            effect => pod_spec::validate::taint_effect(effect, &path.child("effect"), errors),
        }
        if taints[..index].iter().any(|earlier| earlier.key == taint.key && earlier.effect == taint.effect) {
            let value = serde_json::to_value(taint).unwrap_or_default();
            let mut error = Error::duplicate(&path, value);
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
}

/// At most one network for each family of addresses.
fn pod_networks(spec: &NodeSpec, path: &Path, errors: &mut ErrorList) {
    let networks = rules::slice(&spec.pod_cidrs);
    let mut families = HashSet::new();
    let mut twice = networks.len() > 2;
    for (index, network) in networks.iter().enumerate() {
        match rules::parse_cidr(network) {
            Some((address, _)) => twice |= !families.insert(address.is_ipv4()),
            None => errors.push(Error::invalid(&path.index(index), network.as_str(), rules::CIDR_MESSAGE)),
        }
        if networks[..index].contains(network) {
            errors.push(Error::duplicate(&path.index(index), network.as_str()));
        }
    }
    if twice {
        let why = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(path, networks.to_vec(), why));
    }
}

/// Of a node's specification few things may change, and some only once.
pub(super) fn update(new: &Node, old: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    resources(new, &mut errors);
    addresses(new, &mut errors);
    let (spec, before) = (new.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
    let path = Path::new("spec");
    let mut keep = |changed: bool, field: &str| {
        if changed {
            let why = format!("node updates may not change {field} except from \"\" to valid");
            let at = path.child(if field == "podCIDR" { "podCIDRs" } else { field });
            errors.push(Error::forbidden(&at, why));
        }
    };
    let networks = rules::slice(&before.pod_cidrs);
    keep(!networks.is_empty() && networks != rules::slice(&spec.pod_cidrs), "podCIDR");
    let provider = rules::text(&before.provider_id);
    keep(!provider.is_empty() && provider != rules::text(&spec.provider_id), "providerID");
    if rules::text(&before.external_id) != rules::text(&spec.external_id) {
        errors.push(Error::forbidden(&path.child("externalID"), "may not be updated"));
    }
    if let Some(source) = spec.config_source.as_ref().filter(|source| source.config_map.is_none()) {
        let value = serde_json::to_value(source).unwrap_or_default();
        let why = "exactly one reference subfield must be non-nil";
        errors.push(Error::invalid(&path.child("configSource"), value, why));
    }
    taints(rules::slice(&spec.taints), &Path::new("metadata").child("taints"), &mut errors);
    pod_networks(&spec, &path.child("podCIDRs"), &mut errors);
    errors
}

fn addresses(node: &Node, errors: &mut ErrorList) {
    let Some(status) = &node.status else { return };
    let addresses = rules::slice(&status.addresses);
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            let value = serde_json::to_value(address).unwrap_or_default();
            errors.push(Error::duplicate(&Path::new("status").child("addresses").index(index), value));
        }
    }
}
