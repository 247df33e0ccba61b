//! The patch a client applies with: from what it applied last, what it wants now, and what the server has. Fields it
//! no longer names are deleted, fields it never named are left alone.

use schema::Node;
use serde_json::{Map, Value, json};

use super::{
    child,
    directives::{DELETE_FROM_PRIMITIVE_LIST, PATCH, RETAIN_KEYS, SET_ELEMENT_ORDER},
};

/// A strategic merge patch where `node` describes the object, else a JSON merge patch. `{}` when nothing is to change.
pub fn three_way_patch(node: Option<Node<'_>>, original: &Value, modified: &Value, current: &Value) -> Value {
    let empty = Map::new();
    let map = |value: &Value| value.as_object().cloned();
    let modified = modified.as_object().unwrap_or(&empty);
    Value::Object(maps(node, &map(original).unwrap_or_default(), modified, &map(current).unwrap_or_default()))
}

fn maps(
    node: Option<Node<'_>>,
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for (key, wanted) in modified {
        let below = node.and_then(|n| child(n, key));
        match (current.get(key), wanted) {
            (None | Some(Value::Null), Value::Null) => {}
            (None | Some(Value::Null), _) => drop(patch.insert(key.clone(), wanted.clone())),
            (Some(Value::Object(is)), Value::Object(wanted)) => {
                let was = original.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                map_entry(&mut patch, key, below, &was, wanted, is);
            }
            (Some(Value::Array(is)), Value::Array(wanted)) if below.is_some_and(|n| n.patch_strategy().merge) => {
                let was = original.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                list_entry(&mut patch, key, below, was, wanted, is);
            }
            (Some(is), _) if is != wanted => drop(patch.insert(key.clone(), wanted.clone())),
            _ => {}
        }
    }
    for key in original.keys().filter(|key| !modified.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

fn map_entry(
    patch: &mut Map<String, Value>,
    key: &str,
    node: Option<Node<'_>>,
    was: &Map<String, Value>,
    wanted: &Map<String, Value>,
    is: &Map<String, Value>,
) {
    let strategy = node.map(|n| n.patch_strategy());
    if strategy.is_some_and(|s| s.replace) {
        if is != wanted {
            patch.insert(key.to_owned(), Value::Object(wanted.clone()));
        }
        return;
    }
    let mut below = maps(node, was, wanted, is);
    if below.is_empty() {
        return;
    }
    if strategy.is_some_and(|s| s.retain_keys) {
        below.insert(RETAIN_KEYS.to_owned(), wanted.keys().cloned().collect());
    }
    patch.insert(key.to_owned(), Value::Object(below));
}

/// A list whose elements merge: by their key, or by themselves when they are scalars.
fn list_entry(
    patch: &mut Map<String, Value>,
    key: &str,
    node: Option<Node<'_>>,
    was: &[Value],
    wanted: &[Value],
    is: &[Value],
) {
    let (items, order) = match node.and_then(|n| n.patch_merge_key()) {
        Some(merge_key) => {
            let items = objects(node.and_then(|n| n.items()), merge_key, was, wanted, is);
            let order = |list: &[Value]| -> Vec<Value> {
                list.iter().filter_map(|i| Some(json!({merge_key: i.get(merge_key)?}))).collect()
            };
            (items, (order(wanted), order(is)))
        }
        None => {
            let gone: Vec<Value> = was.iter().filter(|w| !wanted.contains(w)).cloned().collect();
            if !gone.is_empty() {
                patch.insert(format!("{DELETE_FROM_PRIMITIVE_LIST}{key}"), Value::Array(gone));
            }
            let new = wanted.iter().filter(|w| !is.contains(w)).cloned().collect();
            (new, (wanted.to_vec(), is.to_vec()))
        }
    };
    let (order, current) = order;
    let deletes = patch.contains_key(&format!("{DELETE_FROM_PRIMITIVE_LIST}{key}"));
    if !items.is_empty() || deletes || !is_subsequence(&order, &current) {
        patch.insert(format!("{SET_ELEMENT_ORDER}{key}"), Value::Array(order));
    }
    if !items.is_empty() {
        patch.insert(key.to_owned(), Value::Array(items));
    }
}

/// The elements that change, in the order wanted; then those to delete.
fn objects(node: Option<Node<'_>>, key: &str, was: &[Value], wanted: &[Value], is: &[Value]) -> Vec<Value> {
    let find = |list: &[Value], item: &Value| {
        list.iter().find(|other| other.get(key).is_some() && other.get(key) == item.get(key)).cloned()
    };
    let mut items = Vec::new();
    for item in wanted {
        let (Some(found), Some(wanted)) = (find(is, item), item.as_object()) else {
            items.push(item.clone());
            continue;
        };
        let map = |value: Option<Value>| match value {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let mut below = maps(node, &map(find(was, item)), wanted, &map(Some(found)));
        if !below.is_empty() {
            below.extend(wanted.get(key).map(|value| (key.to_owned(), value.clone())));
            items.push(Value::Object(below));
        }
    }
    for gone in was.iter().filter(|item| find(wanted, item).is_none()) {
        if let Some(value) = gone.get(key) {
            items.push(json!({PATCH: "delete", key: value}));
        }
    }
    items
}

fn is_subsequence(part: &[Value], whole: &[Value]) -> bool {
    let mut places = whole.iter();
    part.iter().all(|item| places.any(|place| place == item))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::strategic_merge;

    fn deployment() -> Option<Node<'static>> {
        schema::builtin().by_gvk("apps", "v1", "Deployment")
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": list}}}})
    }

    #[test]
    fn nothing_to_change_is_an_empty_patch() {
        let modified = containers(json!([{"name": "a", "image": "x"}]));
        let current = containers(json!([{"name": "a", "image": "x", "imagePullPolicy": "Always"}, {"name": "b"}]));
        assert_eq!(three_way_patch(deployment(), &modified, &modified, &current), json!({}));
    }

    #[test]
    fn elements_are_changed_added_and_deleted_by_their_key() {
        let original = containers(json!([{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]));
        let modified = containers(json!([{"name": "c", "image": "z"}, {"name": "a", "image": "x2"}]));
        let current = containers(json!([
            {"name": "a", "image": "x", "imagePullPolicy": "Always"},
            {"name": "b", "image": "y"},
            {"name": "injected", "image": "i"},
        ]));
        let patch = three_way_patch(deployment(), &original, &modified, &current);
        let patched = strategic_merge(deployment().unwrap(), current, patch).unwrap();
        assert_eq!(
            patched,
            containers(json!([
                {"name": "c", "image": "z"},
                {"name": "a", "image": "x2", "imagePullPolicy": "Always"},
                {"name": "injected", "image": "i"},
            ]))
        );
    }

    #[test]
    fn a_field_no_longer_named_goes_and_one_never_named_stays() {
        let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let modified = json!({"metadata": {"labels": {"a": "1"}}});
        let current = json!({"metadata": {"labels": {"a": "1", "b": "2", "theirs": "3"}}});
        let patch = three_way_patch(deployment(), &original, &modified, &current);
        assert_eq!(patch, json!({"metadata": {"labels": {"b": null}}}));
    }

    #[test]
    fn a_union_keeps_only_the_keys_wanted() {
        let original = json!({"spec": {"strategy": {"type": "RollingUpdate"}}});
        let modified = json!({"spec": {"strategy": {"type": "Recreate"}}});
        let current = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = three_way_patch(deployment(), &original, &modified, &current);
        let patched = strategic_merge(deployment().unwrap(), current, patch).unwrap();
        assert_eq!(patched, modified);
    }

    #[test]
    fn finalizers_are_a_set() {
        let list = |names: Value| json!({"metadata": {"finalizers": names}});
        let patch = three_way_patch(
            deployment(),
            &list(json!(["a", "b"])),
            &list(json!(["a", "c"])),
            &list(json!(["a", "b", "theirs"])),
        );
        let patched = strategic_merge(deployment().unwrap(), list(json!(["a", "b", "theirs"])), patch).unwrap();
        assert_eq!(patched, list(json!(["a", "c", "theirs"])));
    }

    #[test]
    fn without_a_schema_lists_are_replaced() {
        let patch = three_way_patch(None, &json!({}), &json!({"l": [1]}), &json!({"l": [1, 2], "k": 1}));
        assert_eq!(patch, json!({"l": [1]}));
    }
}
