//! Approval of requests for certificates: of everything, only conditions change. The times of conditions are the
//! server's, unless the writer names others.

use apimachinery::Object;
use serde_json::Value;

/// Takes over nothing of the request and its status but the conditions.
pub(crate) fn keep_rest(new: &mut Object, old: &Object) {
    let conditions = new.get(&["status", "conditions"]).cloned();
    for name in ["spec", "status"] {
        match old.get(&[name]) {
            Some(value) => new.set(&[name], value.clone()),
            None => {
                new.remove(&[name]);
            }
        }
    }
    match conditions {
        Some(conditions) => new.set(&["status", "conditions"], conditions),
        None => {
            new.remove(&["status", "conditions"]);
        }
    }
}

/// Fills in when conditions were looked at and when they came to be.
pub(crate) fn stamp(new: &mut Object, old: &Object, now: &str) {
    let path = ["status", "conditions"];
    let before = old.get(&path).and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Array(mut conditions)) = new.get(&path).cloned() else { return };
    for condition in conditions.iter_mut().filter(|condition| condition.is_object()) {
        let same = |old: &&Value| old["type"] == condition["type"] && old["status"] == condition["status"];
        let since = before.iter().find(same).map(|old| old["lastTransitionTime"].clone());
        let since = since.filter(Value::is_string).unwrap_or_else(|| now.into());
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            condition["lastTransitionTime"] = since;
        }
    }
    new.set(&path, Value::Array(conditions));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn only_conditions_pass() {
        let old = object(json!({"metadata": {"name": "x"}, "spec": {"signerName": "a/b"}, "status": {}}));
        let sent = json!({"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"signerName": "c/d"},
            "status": {"certificate": "bm8=", "conditions": [{"type": "Approved", "status": "True"}]}});
        let mut new = object(sent);
        keep_rest(&mut new, &old);
        let expected = json!({"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"signerName": "a/b"},
            "status": {"conditions": [{"type": "Approved", "status": "True"}]}});
        assert_eq!(new.into_value(), expected);
    }

    #[test]
    fn a_condition_came_to_be_when_it_first_said_so() {
        let condition = |status: &str| json!({"type": "Ready", "status": status});
        let old = object(json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "then", "lastUpdateTime": "then"}]}}));
        for (status, since) in [("True", "then"), ("False", "now")] {
            let mut new = object(json!({"status": {"conditions": [condition(status)]}}));
            stamp(&mut new, &old, "now");
            let seen = &new.get(&["status", "conditions"]).unwrap()[0];
            assert_eq!((&seen["lastTransitionTime"], &seen["lastUpdateTime"]), (&json!(since), &json!("now")));
        }
    }
}
