#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn patched(document: Value, patch: Value) -> Result<Value, String> {
    let mut document = document;
    let patch = JsonPatch::parse(patch.to_string().as_bytes()).map_err(|e| e.to_string())?;
    patch.apply(&mut document).map_err(|e| e.status().message)?;
    Ok(document)
}

const REJECTED: &str = "the server rejected our request due to an error in our request";

#[test]
fn applies_every_operation() {
    let document = json!({"data": {"a": "1", "b": "2"}, "list": [1, 2, 3], "x/y": {"~": 0}});
    for (patch, result) in [
        (json!([{"op": "add", "path": "/data/c", "value": "3"}]), json!({"a": "1", "b": "2", "c": "3"})),
        (json!([{"op": "replace", "path": "/data/a", "value": "9"}]), json!({"a": "9", "b": "2"})),
        (json!([{"op": "remove", "path": "/data/a"}]), json!({"b": "2"})),
        (json!([{"op": "move", "from": "/data/a", "path": "/data/z"}]), json!({"b": "2", "z": "1"})),
        (json!([{"op": "copy", "from": "/data/a", "path": "/data/z"}]), json!({"a": "1", "b": "2", "z": "1"})),
        (json!([{"op": "test", "path": "/data/a", "value": "1"}]), json!({"a": "1", "b": "2"})),
        (json!([{"op": "test", "path": "/data/none", "value": null}]), json!({"a": "1", "b": "2"})),
    ] {
        assert_eq!(patched(document.clone(), patch.clone()).unwrap()["data"], result, "{patch}");
    }
    for (patch, result) in [
        (json!([{"op": "add", "path": "/list/-", "value": 4}]), json!([1, 2, 3, 4])),
        (json!([{"op": "add", "path": "/list/0", "value": 4}]), json!([4, 1, 2, 3])),
        (json!([{"op": "add", "path": "/list/3", "value": 4}]), json!([1, 2, 3, 4])),
        (json!([{"op": "remove", "path": "/list/-1"}]), json!([1, 2])),
        (json!([{"op": "replace", "path": "/list/1", "value": null}]), json!([1, null, 3])),
    ] {
        assert_eq!(patched(document.clone(), patch.clone()).unwrap()["list"], result, "{patch}");
    }
    let escaped = patched(document.clone(), json!([{"op": "add", "path": "/x~1y/~0", "value": 1}])).unwrap();
    assert_eq!(escaped["x/y"]["~"], 1);
    // What stands before the first slash is not looked at.
    let relative = patched(json!({}), json!([{"op": "add", "path": "data/a", "value": "1"}])).unwrap();
    assert_eq!(relative, json!({"a": "1"}));
    assert_eq!(patched(document, json!([{"op": "replace", "path": "", "value": {"k": 1}}])).unwrap(), json!({"k": 1}));
}

#[test]
fn refuses_what_does_not_fit() {
    let document = json!({"data": {"a": "1"}, "list": [1]});
    for patch in [
        json!([{"op": "test", "path": "/data/a", "value": "2"}]),
        json!([{"op": "remove", "path": "/data/zz"}]),
        json!([{"op": "replace", "path": "/data/zz", "value": 1}]),
        json!([{"op": "frob", "path": "/data/a"}]),
        json!([{"op": "add", "value": "1"}]),
        json!([{"op": "add", "path": "/none/a", "value": "1"}]),
        json!([{"op": "add", "path": "/list/2", "value": 1}]),
        json!([{"op": "remove", "path": "/list/1"}]),
        json!([{"op": "remove", "path": ""}]),
        json!([{"op": "copy", "path": "/data/b"}]),
        json!([{"op": "add", "path": "/data/a/b", "value": 1}]),
    ] {
        assert_eq!(patched(document.clone(), patch.clone()).unwrap_err(), REJECTED, "{patch}");
    }
}

#[test]
fn refuses_what_is_no_patch_and_lists_unknown_fields() {
    assert_eq!(
        JsonPatch::parse(br#"{"op": "add"}"#).unwrap_err().to_string(),
        "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
    );
    let patch = br#"[{"op":"add","path":"/a","value":1},{"op":"add","path":"/b","value":1,"unknownop":1}]"#;
    assert_eq!(JsonPatch::parse(patch).unwrap().strict, [r#"json patch unknown field "[1].unknownop""#]);
    let many = vec![json!({"op": "test", "path": "/a"}); MAX_JSON_PATCH_OPERATIONS + 1];
    let error = JsonPatch::parse(Value::from(many).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.status().code, 413);
}

#[test]
fn copies_are_bounded() {
    let copy = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    assert_eq!(patched(json!({"a": ["x".repeat(1000)]}), vec![copy; 30].into()).unwrap_err(), REJECTED);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "[ab]{0,2}".prop_map(Value::from)];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The crate json-patch makes the difference of two documents; ours applies it.
    #[test]
    fn a_difference_leads_to_its_target(from in tree(), to in tree()) {
        let difference = serde_json::to_value(json_patch::diff(&from, &to)).unwrap();
        prop_assert_eq!(patched(from, difference).unwrap(), to);
    }

    #[test]
    fn never_panics(document in tree(), path in "[/~a0-9-]{0,6}", from in "[/~a0-9-]{0,6}", op in "add|remove|replace|move|copy|test") {
        let outcome = patched(document, json!([{"op": op, "path": path, "from": from, "value": 1}]));
        prop_assert!(outcome.is_ok() || outcome == Err(REJECTED.to_owned()));
    }
}
