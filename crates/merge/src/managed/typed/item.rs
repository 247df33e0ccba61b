//! What tells the elements of an associative list apart.

use schema::{ListType, Node};
use serde_json::Value;

use crate::managed::path::{Element, Scalar};

/// The path element of a list's element, or why it has none.
pub(super) fn element(list: Node<'_>, item: &Value) -> Result<Element, String> {
    if list.list_type() == ListType::Set {
        return match item {
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supporting lists of lists".to_owned()),
            scalar => Ok(Element::Value(Scalar(scalar.clone()))),
        };
    }
    let Value::Object(map) = item else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let mut keys = Vec::with_capacity(list.list_map_keys().len());
    for key in list.list_map_keys() {
        let value = match map.get(key) {
            Some(value) => value.clone(),
            None => list.items().and_then(|items| items.key_default(key)).ok_or_else(|| {
                format!("associative list with keys has an element that omits key field {key:?} (and doesn't have default value)")
            })?,
        };
        keys.push((key.to_owned(), Scalar(value)));
    }
    keys.sort();
    Ok(Element::Key(keys))
}

/// The elements of a list by what tells them apart, in the list's order. Elements without any are left out; a
/// validated list has none.
pub(super) fn elements<'v>(list: Node<'_>, value: Option<&'v Value>) -> Vec<(Element, &'v Value)> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| Some((element(list, item).ok()?, item))).collect()
}
