//! Which parts of an object each way of writing changes, and which change is the object's last.

use apimachinery::Object;
use kinds::Subresource;
use serde_json::Value;

use crate::{
    Facts,
    subresource::{approval, ephemeral},
};

/// Keeps what this way of writing may not change.
pub(super) fn split(facts: &Facts, subresource: &str, new: &mut Object, old: &Object) {
    match subresource {
        "" if facts.has(Subresource::Status) => keep_field(new, old, "status"),
        "status" => {
            let names: Vec<String> = new.map().keys().chain(old.map().keys()).cloned().collect();
            for name in names.iter().filter(|name| !matches!(name.as_str(), "metadata" | "status")) {
                keep_field(new, old, name);
            }
            if let (Some(Value::Object(metadata)), Some(Value::Object(before))) =
                (new.map_mut().get_mut("metadata"), old.map().get("metadata"))
            {
                let kept: &[&str] =
                    if facts.status_keeps_labels { &["ownerReferences", "labels"] } else { &["ownerReferences"] };
                for name in kept {
                    match before.get(*name) {
                        Some(value) => metadata.insert((*name).to_owned(), value.clone()),
                        None => metadata.remove(*name),
                    };
                }
            }
        }
        "ephemeralcontainers" => ephemeral::keep_rest(new, old),
        "approval" => approval::keep_rest(new, old),
        "finalize" => {
            let finalizers = new.get(&["spec", "finalizers"]).cloned();
            let version = new.get(&["metadata", "resourceVersion"]).cloned();
            *new = old.clone();
            match finalizers {
                Some(finalizers) => new.set(&["spec", "finalizers"], finalizers),
                None => {
                    new.remove(&["spec", "finalizers"]);
                }
            }
            if let Some(version) = version {
                new.set(&["metadata", "resourceVersion"], version);
            }
        }
        _ => {}
    }
}

fn keep_field(new: &mut Object, old: &Object, name: &str) {
    match old.map().get(name) {
        Some(value) => new.map_mut().insert(name.to_owned(), value.clone()),
        None => new.map_mut().remove(name),
    };
}

/// Whether this change takes away the last thing a deletion waited for.
pub(super) fn finished(new: &Object, old: &Object) -> bool {
    let waits = old.get(&["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or_default() != 0;
    let spec_finalizers = || new.get(&["spec", "finalizers"]).and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    old.deletion_timestamp().is_some()
        && !waits
        && new.finalizers().next().is_none()
        && !(new.kind() == "Namespace" && new.api_version() == "v1" && spec_finalizers())
}
