#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use api::core::v1::Pod;
use serde_json::{Value, json};

use crate::Kind;

fn pod(spec: Value) -> Pod {
    let mut fields = json!({"containers": [{"name": "c", "image": "i:1"}], "serviceAccountName": "default"});
    let map = fields.as_object_mut().unwrap();
    map.extend(spec.as_object().unwrap().clone());
    map.retain(|_, value| !value.is_null());
    let mut pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": fields})).unwrap();
    crate::core::Pod::default(&mut pod);
    pod
}

/// What is wrong with changing one specification into another, without the list of what differs.
fn check(old: Value, new: Value, expected: &[&str]) {
    let errors = crate::core::Pod::validate_update(&pod(new), &pod(old));
    let found: Vec<String> = errors.iter().map(|e| e.to_string()).collect();
    let short: Vec<&str> = found.iter().map(|text| text.split(" fields other than").next().unwrap()).collect();
    assert_eq!(short, expected);
}

const OTHER_FIELDS: &str = "spec: Forbidden: pod updates may not change";

#[test]
fn few_fields_may_change() {
    check(json!({}), json!({}), &[]);
    check(json!({}), json!({"containers": [{"name": "c", "image": "i:2"}]}), &[]);
    let pulled = json!({"containers": [{"name": "c", "image": "i:2", "imagePullPolicy": "Always"}]});
    check(json!({}), pulled, &[OTHER_FIELDS]);
    check(json!({}), json!({"nodeName": "n"}), &[OTHER_FIELDS]);
    check(json!({}), json!({"terminationGracePeriodSeconds": 99}), &[OTHER_FIELDS]);
    let two = json!({"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]});
    check(json!({}), two, &["spec.containers: Forbidden: pod updates may not add or remove containers"]);
    let empty = json!({"containers": [{"name": "c", "image": "", "imagePullPolicy": "IfNotPresent"}]});
    check(json!({}), empty, &["spec.containers[0].image: Required value"; 2]);
}

#[test]
fn deadlines_draw_nearer() {
    check(json!({}), json!({"activeDeadlineSeconds": 5}), &[]);
    check(json!({"activeDeadlineSeconds": 5}), json!({"activeDeadlineSeconds": 4}), &[]);
    let later = "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value";
    check(json!({"activeDeadlineSeconds": 5}), json!({"activeDeadlineSeconds": 6}), &[later]);
}

#[test]
fn tolerations_come_and_gates_go() {
    let one = json!([{"key": "a", "operator": "Exists"}]);
    let two = json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]);
    check(json!({"tolerations": one}), json!({"tolerations": two}), &[]);
    let gone = "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds";
    check(json!({"tolerations": two}), json!({"tolerations": one}), &[gone]);
    let gates = json!([{"name": "a.b/c"}]);
    check(json!({"schedulingGates": gates}), json!({"nodeSelector": {"a": "b"}}), &[]);
    let new =
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a.b/c'";
    check(json!({}), json!({"schedulingGates": gates}), &[new]);
}
