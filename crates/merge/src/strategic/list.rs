//! How a list of the patch meets a list of the object.

use schema::Node;
use serde_json::{Map, Value};

use super::{directives, directives::PATCH, merge_maps, order, unknown_directive};
use crate::{error::PatchError, go_print::go_print};

/// Merges by the list's strategy; without one the patch's list replaces the object's.
pub(super) fn merge(node: Option<Node<'_>>, original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let Some(node) = node.filter(|n| n.patch_strategy().merge) else { return Ok(patch) };
    let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
    if original.iter().chain(&patch).any(|item| std::mem::discriminant(item) != std::mem::discriminant(first)) {
        return Err(PatchError::Strategic { reason: "list element types are not identical".to_owned() });
    }
    if first.is_array() {
        return Err(PatchError::Strategic { reason: "lists of lists are not supported".to_owned() });
    }
    if !first.is_object() {
        return Ok(merge_scalars(original, patch));
    }
    let key = node.patch_merge_key().ok_or_else(|| PatchError::Strategic {
        reason: format!("cannot merge lists without merge key for {node:?}"),
    })?;
    merge_objects(node, key, original, patch)
}

fn merge_scalars(original: Vec<Value>, patch: Vec<Value>) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for item in original.iter().chain(&patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    order::in_order(merged, &patch, &original, None)
}

fn merge_objects(node: Node<'_>, key: &str, original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let (mut merged, patch) = special_elements(key, original, patch)?;
    let before = merged.clone();
    for item in &patch {
        let wanted = merge_value(item, key)?;
        match merged.iter_mut().find(|m| m.get(key) == Some(wanted)) {
            Some(found) => {
                let (Value::Object(current), Value::Object(new)) = (found.take(), item.clone()) else { continue };
                *found = Value::Object(merge_maps(node.items(), current, new)?);
            }
            None => {
                let mut new = item.clone();
                directives::drop_all(&mut new);
                merged.push(new);
            }
        }
    }
    Ok(order::in_order(merged, &patch, &before, Some(key)))
}

/// Carries out the elements that are directives: what they delete goes, and they with it.
fn special_elements(
    key: &str,
    mut original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replaces = false;
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let wanted = merge_value(&item, key)?;
                original.retain(|o| o.get(key) != Some(wanted));
            }
            Some("replace") => replaces = true,
            Some("merge") => {
                let reason = "merging lists cannot yet be specified in the patch".to_owned();
                return Err(PatchError::Strategic { reason });
            }
            _ => return Err(unknown_directive(directive, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (original, plain) })
}

fn merge_value<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    item.get(key).ok_or_else(|| PatchError::Strategic {
        reason: format!("map: {} does not contain declared merge key: {key}", go_print(item)),
    })
}

/// What `$deleteFromPrimitiveList` leaves.
pub(super) fn without(original: Vec<Value>, deleted: &[Value]) -> Vec<Value> {
    original.into_iter().filter(|item| !deleted.contains(item)).collect()
}
