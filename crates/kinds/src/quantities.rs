//! Quantities as they are written back: in canonical form, and amounts of resources not finer than a thousandth.

use std::collections::BTreeMap;

use api::Quantity as Wire;
use api::core::v1::ResourceRequirements;
use apimachinery::Quantity;

/// Resources that may be given for a pod as a whole.
pub(crate) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// What does not parse is left as it is: decoding refuses it.
pub(crate) fn canonicalize_one(quantity: &mut Wire) {
    // Upstream's decoder trims, its parser does not.
    if let Ok(parsed) = quantity.0.trim().parse::<Quantity>() {
        quantity.0 = parsed.to_string();
    }
}

pub(crate) fn canonicalize(amounts: &mut Option<BTreeMap<String, Wire>>) {
    for quantity in amounts.iter_mut().flat_map(BTreeMap::values_mut) {
        if let Ok(parsed) = quantity.0.trim().parse::<Quantity>() {
            quantity.0 = parsed.rounded_up_to_milli().to_string();
        }
    }
}

pub(crate) fn canonicalize_requirements(requirements: &mut ResourceRequirements) {
    canonicalize(&mut requirements.limits);
    canonicalize(&mut requirements.requests);
}
