//! The annotation of client-side `kubectl apply`, which server-side apply by kubectl takes over and keeps current.

use schema::Node;
use serde_json::Value;

use super::{
    conflict::Conflict,
    set::Set,
    typed::{compare, field_set, validate},
};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The only manager that the annotation concerns.
pub(super) const MANAGER: &str = "kubectl";

/// Upstream's bound on all annotations of an object together.
const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Whether every conflict is about a field that client-side apply set and that is still so: then kubectl owns it
/// already, under its old name.
pub(super) fn allows(node: Node<'_>, live: &Value, conflicts: &[Conflict]) -> Option<Vec<Conflict>> {
    let allowed = allowed(node, live)?;
    Some(conflicts.iter().filter(|c| !allowed.contains(&c.path)).cloned().collect())
}

fn allowed(node: Node<'_>, live: &Value) -> Option<Set> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"] != live["apiVersion"] || validate(node, &last, true).is_err() {
        return None;
    }
    let changes = compare(node, &last, live);
    Some(field_set(node, &last).difference(&changes.modified).difference(&changes.added).difference(&changes.removed))
}

/// Writes the configuration into the annotation, if the object has one.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") else { return };
    if !annotations.contains_key(ANNOTATION) {
        return;
    }
    let mut config = config.clone();
    if let Some(Value::Object(annotations)) = config.pointer_mut("/metadata/annotations") {
        annotations.remove(ANNOTATION);
    }
    annotations.insert(ANNOTATION.to_owned(), format!("{config}\n").into());
    let size: usize = annotations.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS_BYTES {
        annotations.remove(ANNOTATION);
    }
}
