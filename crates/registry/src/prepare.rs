//! What the server puts into an object that is written: its name, identity and times. Clients may not choose these.

use apimachinery::{Object, Status};
use rand::Rng;
use serde_json::Value;

use crate::{Facts, RequestContext};

/// Letters of generated names: no vowels and nothing easily confused, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LETTERS: usize = 5;
/// The longest prefix that leaves room for the suffix in a name of 63.
const MAX_PREFIX_BYTES: usize = 63 - SUFFIX_LETTERS;

/// The namespace of the body must be the URL's; a body without one gets it.
pub(crate) fn check_namespace(facts: &Facts, cx: &RequestContext, object: &mut Object) -> Result<(), Status> {
    let wanted = cx.namespace();
    if !facts.namespaced {
        // What lives in no namespace loses the one it names.
        object.remove(&["metadata", "namespace"]);
        return Ok(());
    }
    if object.namespace().is_empty() {
        if !wanted.is_empty() {
            object.set(&["metadata", "namespace"], wanted);
        }
        return Ok(());
    }
    if object.namespace() != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The name in the body must be the URL's.
pub(crate) fn check_name(cx: &RequestContext, object: &Object) -> Result<(), Status> {
    let (found, wanted) = (object.name(), cx.name.as_str());
    if found.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        )));
    }
    if found != wanted {
        return Err(Status::bad_request(format!(
            "the name of the object ({found}) does not match the name on the URL ({wanted})"
        )));
    }
    let namespace = object.namespace();
    if !cx.namespace().is_empty() && !namespace.is_empty() && namespace != cx.namespace() {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
            cx.namespace()
        )));
    }
    Ok(())
}

/// Gives a new object its identity. The name is made of `generateName` where none is given.
pub(crate) fn new_identity(cx: &RequestContext, facts: &Facts, object: &mut Object) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        object.remove(&["metadata", field]);
    }
    object.set(&["metadata", "uid"], new_uid());
    object.set(&["metadata", "creationTimestamp"], cx.timestamp());
    if facts.generation {
        object.set(&["metadata", "generation"], 1);
    } else if object.get(&["metadata", "generation"]) == Some(&Value::from(0)) {
        object.remove(&["metadata", "generation"]);
    }
    let prefix = object.generate_name();
    if object.name().is_empty() && !prefix.is_empty() {
        let name = generated_name(prefix);
        object.set(&["metadata", "name"], name);
    }
}

/// Says every owner once, and says so to whoever said one twice.
pub(crate) fn dedup_owners(cx: &RequestContext, object: &mut Object) {
    let Some(owners) = object.get(&["metadata", "ownerReferences"]).and_then(Value::as_array) else { return };
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    let mut twice: Vec<String> = Vec::new();
    for owner in owners {
        if kept.contains(owner) {
            twice.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        } else {
            kept.push(owner.clone());
        }
    }
    if twice.is_empty() {
        return;
    }
    cx.warnings.push(format!(
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may \
         reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        twice.join(", ")
    ));
    object.set(&["metadata", "ownerReferences"], kept);
}

/// Carries over what an update may leave out and may not change.
pub(crate) fn keep_identity(new: &mut Object, old: &Object) {
    let keep = |new: &mut Object, field: &str| match old.get(&["metadata", field]) {
        Some(value) => new.set(&["metadata", field], value.clone()),
        None => {
            new.remove(&["metadata", field]);
        }
    };
    if new.uid().is_empty() {
        keep(new, "uid");
    }
    if new.namespace().is_empty() {
        keep(new, "namespace");
    }
    keep(new, "creationTimestamp");
    keep(new, "generation");
    new.remove(&["metadata", "selfLink"]);
    if old.deletion_timestamp().is_some() {
        keep(new, "deletionTimestamp");
    }
    if old.get(&["metadata", "deletionGracePeriodSeconds"]).is_some()
        && new.get(&["metadata", "deletionGracePeriodSeconds"]).is_none()
    {
        keep(new, "deletionGracePeriodSeconds");
    }
}

/// Counts the generation up if more than metadata and status changed.
pub(crate) fn count_generation(facts: &Facts, new: &mut Object, old: &Object) {
    if facts.generation && !same_desire(new, old) {
        new.set(&["metadata", "generation"], old.generation() + 1);
    }
}

fn same_desire(new: &Object, old: &Object) -> bool {
    let desire = |object: &Object, name: &str| match name {
        "metadata" | "status" | "kind" | "apiVersion" => None,
        name => object.map().get(name).cloned(),
    };
    new.map().keys().chain(old.map().keys()).all(|name| desire(new, name) == desire(old, name))
}

fn generated_name(prefix: &str) -> String {
    let mut end = prefix.len().min(MAX_PREFIX_BYTES);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut rng = rand::rng();
    let suffix = (0..SUFFIX_LETTERS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix[..end].chars().chain(suffix).collect()
}

/// A random (version 4) UUID.
pub(crate) fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit() {
        let name = generated_name(&"a".repeat(80));
        assert_eq!(name.len(), 63);
        assert!(name.bytes().skip(58).all(|b| ALPHABET.contains(&b)));
    }

    #[test]
    fn uids_look_like_uuids() {
        let uid = new_uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.as_bytes()[14], b'4');
    }
}
