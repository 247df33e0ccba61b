//! What tells the elements of an associative list apart.

use schema::{ListType, Node};
use serde_json::{Map, Value};

use crate::managed::path::Element;

/// The step to a list's element, or why it has none.
pub(super) fn step(list: Node<'_>, item: &Value) -> Result<String, String> {
    if list.list_type() == ListType::Set {
        return match item {
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supporting lists of lists".to_owned()),
            scalar => Ok(Element::value_step(scalar)),
        };
    }
    let Value::Object(map) = item else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let mut keys = Map::new();
    for key in list.list_map_keys() {
        let value = match map.get(key) {
            Some(value) => value.clone(),
            None => list.items().and_then(|items| items.key_default(key)).ok_or_else(|| {
                format!("associative list with keys has an element that omits key field {key:?} (and doesn't have default value)")
            })?,
        };
        keys.insert(key.to_owned(), value);
    }
    Ok(Element::key_step(keys))
}

/// The elements of a list by their steps, in the list's order. Elements without any are left out; a
/// validated list has none.
pub(super) fn elements<'v>(list: Node<'_>, value: Option<&'v Value>) -> Vec<(String, &'v Value)> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| Some((step(list, item).ok()?, item))).collect()
}
