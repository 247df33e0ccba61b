#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn pod_spec() -> Node<'static> {
    schema::builtin().definition("io.k8s.api.core.v1.PodSpec").unwrap()
}

fn check(current: Value, patch: Value, expected: Value) {
    let merged = strategic_merge(pod_spec(), current.clone(), patch.clone()).unwrap();
    assert_eq!(merged, expected, "{current} + {patch}");
}

fn refused(current: Value, patch: Value) -> String {
    strategic_merge(pod_spec(), current, patch).unwrap_err().to_string()
}

#[test]
fn merges_lists_by_key_and_puts_new_elements_first() {
    check(
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
        json!({"containers": [{"name": "b", "image": "3"}, {"name": "c", "image": "4", "args": null}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c", "image": "4"}]}),
    );
    check(
        json!({"containers": [{"name": "a"}]}),
        json!({"containers": [{"name": "new"}]}),
        json!({"containers": [{"name": "new"}, {"name": "a"}]}),
    );
    // The merge key of ports is containerPort alone.
    check(
        json!({"containers": [{"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "b"}]}]}),
        json!({"containers": [{"name": "c", "ports": [{"containerPort": 81, "name": "zz"}, {"containerPort": 82}]}]}),
        json!({"containers": [{"name": "c",
            "ports": [{"containerPort": 80}, {"containerPort": 81, "name": "zz"}, {"containerPort": 82}]}]}),
    );
}

#[test]
fn replaces_lists_without_a_strategy() {
    check(
        json!({"containers": [{"name": "c", "command": ["a", "b"]}], "tolerations": [{"key": "a"}]}),
        json!({"containers": [{"name": "c", "command": ["z"]}], "tolerations": [{"key": "b"}]}),
        json!({"containers": [{"name": "c", "command": ["z"]}], "tolerations": [{"key": "b"}]}),
    );
}

#[test]
fn deletes_and_replaces_by_directive() {
    let current = json!({"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"k": "v"}});
    check(
        current.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "none", "$patch": "delete"}]}),
        json!({"containers": [{"name": "b"}], "nodeSelector": {"k": "v"}}),
    );
    check(
        current.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "z"}], "nodeSelector": {"$patch": "replace", "n": "w"}}),
        json!({"containers": [{"name": "z"}], "nodeSelector": {"n": "w"}}),
    );
    check(
        current.clone(),
        json!({"containers": null, "nodeSelector": {"k": null, "x": null}}),
        json!({"nodeSelector": {}}),
    );
    check(current.clone(), json!({"$patch": "delete"}), json!({}));
    assert_eq!(
        refused(current.clone(), json!({"nodeSelector": {"$patch": "frob"}})),
        "unknown patch type: frob in map: map[]"
    );
    assert_eq!(
        refused(current, json!({"containers": [{"image": "x"}]})),
        "map: map[image:x] does not contain declared merge key: name"
    );
}

#[test]
fn retains_keys() {
    let current = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
    check(
        current.clone(),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/h"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/h"}}]}),
    );
    let bad = json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "hostPath": {"path": "/h"}}]});
    let error = strategic_merge(pod_spec(), current, bad).unwrap_err();
    assert_eq!((error.status().code, error.to_string().as_str()), (400, "invalid patch format of retainKeys"));
}

#[test]
fn sets_the_order_of_elements() {
    let env = |order: &[&str]| Value::from(order.iter().map(|n| json!({"name": n})).collect::<Vec<_>>());
    let current = json!({"containers": env(&["A", "B"])});
    check(
        current.clone(),
        json!({"$setElementOrder/containers": env(&["B", "C", "A"]), "containers": [{"name": "C"}]}),
        json!({"containers": env(&["B", "C", "A"])}),
    );
    check(
        current.clone(),
        json!({"$setElementOrder/containers": env(&["B", "A"])}),
        json!({"containers": env(&["B", "A"])}),
    );
    // The elements the patch does not know keep their places among those it does.
    check(
        json!({"containers": env(&["A", "X", "B", "Y"])}),
        json!({"$setElementOrder/containers": env(&["A", "B"])}),
        json!({"containers": env(&["A", "X", "B", "Y"])}),
    );
    assert_eq!(
        refused(
            current,
            json!({"$setElementOrder/containers": env(&["second"]), "containers": [{"name": "c", "image": "q"}]})
        ),
        "The order in patch list:\n[map[image:q name:c]]\n doesn't match $setElementOrder list:\n[map[name:second]]\n"
    );
}

#[test]
fn merges_lists_of_scalars() {
    let meta = schema::builtin().definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap();
    let merged = |current: Value, patch: Value| strategic_merge(meta, current, patch).unwrap();
    assert_eq!(
        merged(json!({"finalizers": ["a", "b"]}), json!({"finalizers": ["b", "c"]})),
        json!({"finalizers": ["a", "b", "c"]})
    );
    assert_eq!(
        merged(
            json!({"finalizers": ["a", "b", "c"]}),
            json!({"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "a"]})
        ),
        json!({"finalizers": ["c", "a"]})
    );
    assert_eq!(merged(json!({}), json!({"$deleteFromPrimitiveList/finalizers": ["b"]})), json!({}));
}

#[test]
fn takes_new_values_without_their_directives() {
    check(
        json!({}),
        json!({"securityContext": {"$retainKeys": ["runAsUser"], "runAsUser": 1, "fsGroup": null},
            "volumes": [{"name": "gone", "$patch": "delete"}, {"name": "v"}]}),
        json!({"securityContext": {"runAsUser": 1}, "volumes": [{"name": "v"}]}),
    );
}

fn containers() -> impl Strategy<Value = Vec<(String, u8)>> {
    proptest::collection::btree_map("[a-e]", 0u8..3, 0..5)
        .prop_map(|m| m.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn as_json(containers: &[(String, u8)]) -> Value {
    Value::from(containers.iter().map(|(n, i)| json!({"name": n, "image": i.to_string()})).collect::<Vec<_>>())
}

proptest! {
    /// The patch that kubectl would make between two lists leads from one to the other.
    #[test]
    fn the_patch_of_a_difference_gives_the_target(from in containers(), to in containers()) {
        let mut elements: Vec<Value> = to
            .iter()
            .filter(|t| !from.contains(t))
            .map(|(n, i)| json!({"name": n, "image": i.to_string()}))
            .collect();
        for (name, _) in &from {
            if to.iter().all(|(n, _)| n != name) {
                elements.push(json!({"name": name, "$patch": "delete"}));
            }
        }
        let order: Vec<Value> = to.iter().map(|(n, _)| json!({"name": n})).collect();
        let patch = json!({"$setElementOrder/containers": order, "containers": elements});
        let merged = strategic_merge(pod_spec(), json!({"containers": as_json(&from)}), patch).unwrap();
        prop_assert_eq!(&merged["containers"], &as_json(&to));
    }

    #[test]
    fn an_empty_patch_changes_nothing(containers in containers()) {
        let pod = json!({"containers": as_json(&containers), "hostNetwork": true});
        prop_assert_eq!(strategic_merge(pod_spec(), pod.clone(), json!({})).unwrap(), pod);
    }
}
