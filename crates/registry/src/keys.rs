//! Where objects lie in the store: `/registry/pods/default/web`, as upstream has it.

use crate::Facts;

/// The key of one object.
pub(crate) fn object(facts: &Facts, namespace: &str, name: &str) -> Vec<u8> {
    if facts.namespaced {
        format!("{}{namespace}/{name}", facts.storage_prefix).into_bytes()
    } else {
        format!("{}{name}", facts.storage_prefix).into_bytes()
    }
}

/// What the keys of a collection begin with; all namespaces if none is named.
pub(crate) fn collection(facts: &Facts, namespace: &str) -> Vec<u8> {
    if facts.namespaced && !namespace.is_empty() {
        format!("{}{namespace}/", facts.storage_prefix).into_bytes()
    } else {
        facts.storage_prefix.clone().into_bytes()
    }
}
