//! Strategic merge patch: a merge patch that knows, from the schema, how lists merge. What kubectl sends for built-in
//! kinds.
//!
//! Directives: `$patch: delete|replace|merge` in a map or list element, `$retainKeys`, `$setElementOrder/<list>`,
//! `$deleteFromPrimitiveList/<list>`.

mod directives;
mod list;
mod order;
#[cfg(test)]
mod tests;
mod three_way;

use schema::{Node, Shape};
use serde_json::{Map, Value};

use crate::{error::PatchError, go_print::go_print};
pub use three_way::three_way_patch;

use directives::{DELETE_FROM_PRIMITIVE_LIST, PATCH, SET_ELEMENT_ORDER};

/// The object that comes of patching `current`, which `node` describes.
pub fn strategic_merge(node: Node<'_>, current: Value, patch: Value) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::Decode {
            reason: "json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned(),
        });
    };
    let current = match current {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    merge_maps(Some(node), current, patch).map(Value::Object)
}

fn merge_maps(
    node: Option<Node<'_>>,
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(&directive, &patch)),
        };
    }
    directives::retain_keys(&mut original, &mut patch)?;
    order::merge_ordered(node, &mut original, &mut patch)?;
    for (key, value) in patch {
        merge_entry(node, &mut original, &key, value)?;
    }
    Ok(original)
}

fn merge_entry(
    node: Option<Node<'_>>,
    original: &mut Map<String, Value>,
    key: &str,
    mut patch: Value,
) -> Result<(), PatchError> {
    let deletes = key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST);
    let key = deletes.unwrap_or(key);
    if patch.is_null() {
        original.remove(key);
        return Ok(());
    }
    let child = node.and_then(|n| child(n, key));
    let merged = match (original.remove(key), patch) {
        (Some(Value::Object(current)), Value::Object(patch)) => {
            if child.is_some_and(|n| n.patch_strategy().replace) {
                Value::Object(patch)
            } else {
                Value::Object(merge_maps(child, current, patch)?)
            }
        }
        (Some(Value::Array(current)), Value::Array(patch)) => match deletes {
            Some(_) => Value::Array(list::without(current, &patch)),
            None => Value::Array(list::merge(child, current, patch)?),
        },
        // Scalars, and values of another type: the patch wins. There is nothing to delete from.
        (current, _) if deletes.is_some() => match current {
            Some(current) => current,
            None => return Ok(()),
        },
        (_, new) => {
            patch = new;
            directives::drop_all(&mut patch);
            patch
        }
    };
    original.insert(key.to_owned(), merged);
    Ok(())
}

/// The schema below a key. Raw values have none: their maps merge key by key.
fn child<'n>(node: Node<'n>, key: &str) -> Option<Node<'n>> {
    match node.shape() {
        Shape::Object => node.field(key),
        Shape::Map => node.values(),
        _ => None,
    }
}

fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> PatchError {
    let map = go_print(&Value::Object(patch.clone()));
    PatchError::Strategic { reason: format!("unknown patch type: {} in map: {map}", go_print(directive)) }
}

fn order_directive(key: &str) -> Option<&str> {
    key.strip_prefix(SET_ELEMENT_ORDER)
}
