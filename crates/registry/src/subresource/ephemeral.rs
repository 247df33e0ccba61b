//! Ephemeral containers come into a running pod and stay as they are.

use apimachinery::{
    Object,
    field::{Error, ErrorList, Path},
};
use serde_json::Value;

/// Takes over nothing but the ephemeral containers.
pub(crate) fn keep_rest(new: &mut Object, old: &Object) {
    let containers = new.get(&["spec", "ephemeralContainers"]).cloned();
    let metadata = new.get(&["metadata", "resourceVersion"]).cloned();
    *new = old.clone();
    match containers {
        Some(containers) => new.set(&["spec", "ephemeralContainers"], containers),
        None => {
            new.remove(&["spec", "ephemeralContainers"]);
        }
    }
    if let Some(version) = metadata {
        new.set(&["metadata", "resourceVersion"], version);
    }
}

/// Those that are there may neither change nor go.
pub(crate) fn validate(new: &Object, old: &Object) -> ErrorList {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    if old.annotation(MIRROR).is_some() {
        return Error::forbidden(&Path::new("[]"), "static pods do not support ephemeral containers").into();
    }
    let path = Path::new("spec").child("ephemeralContainers");
    let list = |object: &Object| {
        object.get(&["spec", "ephemeralContainers"]).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (new, old) = (list(new), list(old));
    let mut errors = ErrorList::new();
    for before in &old {
        let name = before["name"].as_str().unwrap_or_default();
        match new.iter().find(|container| container["name"] == before["name"]) {
            None => {
                let why =
                    format!("existing ephemeral containers {} may not be removed\n", apimachinery::field::quote(name));
                errors.push(Error::forbidden(&path, why));
            }
            Some(after) if after != before => {
                let why =
                    format!("existing ephemeral containers {} may not be changed\n", apimachinery::field::quote(name));
                errors.push(Error::forbidden(&path, why));
            }
            Some(_) => {}
        }
    }
    errors
}
