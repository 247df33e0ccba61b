//! Whether what arrived is what was sent.

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde_json::Value;
use store::{KeyValue, Snapshot};

use super::of_cluster;

/// Everything of the cluster is there and the same, and nothing else; answers how much that is.
pub(super) fn compare(
    from: &Snapshot,
    to: &Snapshot,
    same: impl Fn(&KeyValue, &KeyValue) -> bool,
) -> anyhow::Result<(usize, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for kv in of_cluster(from) {
        let key = || String::from_utf8_lossy(&kv.key);
        let there = to.get(&kv.key).with_context(|| format!("{} did not arrive", key()))?;
        ensure!(same(kv, &there), "{} did not arrive as it was", key());
        objects += 1;
        bytes += (kv.key.len() + kv.value.len()) as u64;
    }
    let arrived = of_cluster(to).count();
    ensure!(arrived == objects, "{arrived} keys arrived of {objects}");
    Ok((objects, bytes))
}

/// By what the objects say, but for their resource versions.
pub(super) fn equal_by_content(from: &KeyValue, to: &KeyValue) -> bool {
    let tree = |value: &Bytes| serde_json::from_slice::<Value>(value).ok();
    match (tree(&from.value), tree(&to.value)) {
        (Some(from), Some(to)) => is_within(&from, &to, true),
        _ => from.value == to.value,
    }
}

/// Whether all of `part` is in `whole`, which may have defaults that an older version did not fill in.
fn is_within(part: &Value, whole: &Value, is_object: bool) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(name, value)| match whole.get(name) {
            Some(Value::Object(_)) if is_object && name == "metadata" => {
                let without = |value: &Value| {
                    let mut value = value.clone();
                    if let Value::Object(map) = &mut value {
                        map.remove("resourceVersion");
                    }
                    value
                };
                is_within(&without(value), &without(&whole[name]), false)
            }
            Some(found) => is_within(value, found, false),
            None => value.is_null(),
        }),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole, false))
        }
        (part, whole) => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_added_may_differ() {
        let within = |part: Value, whole: Value| is_within(&part, &whole, true);
        let stored = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"list": [{"a": 1}]}});
        let mut moved = stored.clone();
        moved["metadata"]["resourceVersion"] = "1".into();
        moved["spec"]["policy"] = "Default".into();
        moved["spec"]["list"][0]["b"] = 2.into();
        assert!(within(stored.clone(), moved.clone()));
        assert!(!within(moved.clone(), stored.clone()), "something is missing");
        moved["spec"]["list"][0]["a"] = 2.into();
        assert!(!within(stored.clone(), moved.clone()), "something is another");
        assert!(!within(json!({"metadata": {}, "data": {}}), json!({"metadata": {}})));
        assert!(!within(stored, json!({"metadata": {"name": "b"}, "spec": {"list": [{"a": 1}]}})));
    }
}
