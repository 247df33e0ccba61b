#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use apimachinery::GroupVersionKind;
use proptest::prelude::*;
use schema::Node;
use serde_json::{Value, json};

use super::*;

/// An object on a server, written by several managers at one minute after the other.
struct Subject {
    kind: GroupVersionKind,
    live: Option<Value>,
    minute: u32,
}

impl Subject {
    fn new(group: &str, kind: &str) -> Self {
        Self { kind: GroupVersionKind::new(group, "v1", kind), live: None, minute: 0 }
    }

    fn config_map() -> Self {
        Self::new("", "ConfigMap")
    }

    fn node(&self) -> Node<'static> {
        schema::builtin().by_gvk(&self.kind.group, &self.kind.version, &self.kind.kind).unwrap()
    }

    fn whole(&self, body: &Value) -> Value {
        let mut whole = body.clone();
        whole["apiVersion"] = self.kind.api_version().into();
        whole["kind"] = self.kind.kind.clone().into();
        whole
    }

    fn written<T>(&mut self, subresource: &str, manager: &str, f: impl FnOnce(&Self, &Write<'_>) -> T) -> T {
        self.minute += 1;
        let now = format!("2026-01-01T00:{:02}:00Z", self.minute);
        let kind = self.kind.clone();
        let reset: &[&[&str]] = if subresource == "status" { &[&["spec"]] } else { &[&["status"]] };
        f(self, &Write { manager, kind: &kind, subresource, now: &now, reset })
    }

    fn store(&mut self, mut new: Value) {
        if let Some(live) = &self.live {
            ignore_times(live, &mut new);
        }
        new["metadata"]["uid"] = "u".into();
        new["metadata"]["name"] = "x".into();
        self.live = Some(new);
    }

    fn try_apply(&mut self, subresource: &str, manager: &str, force: bool, body: Value) -> Result<(), ApplyError> {
        let config = self.whole(&body);
        let new =
            self.written(subresource, manager, |s, write| apply(s.node(), s.live.as_ref(), &config, force, write))?;
        self.store(new);
        Ok(())
    }

    fn apply(&mut self, manager: &str, body: Value) -> &mut Self {
        self.try_apply("", manager, false, body).unwrap();
        self
    }

    fn refused(&mut self, manager: &str, body: Value) -> String {
        self.try_apply("", manager, false, body).unwrap_err().status().message
    }

    fn put(&mut self, manager: &str, body: Value) -> &mut Self {
        self.put_as("", manager, body)
    }

    fn put_as(&mut self, subresource: &str, manager: &str, body: Value) -> &mut Self {
        let mut new = self.whole(&body);
        self.written(subresource, manager, |s, write| update(s.node(), s.live.as_ref(), &mut new, write));
        self.store(new);
        self
    }

    /// Merges into the live object, as PATCH does.
    fn patch(&mut self, manager: &str, patch: Value) -> &mut Self {
        let mut body = self.live.clone().unwrap();
        crate::merge_patch(&mut body, &patch).unwrap();
        self.put(manager, body)
    }

    /// `manager operation[/subresource] minute fields`, sorted.
    fn owners(&self) -> Vec<String> {
        let entries = self.live.as_ref().unwrap()["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let mut lines: Vec<String> = entries
            .iter()
            .map(|e| {
                let word = |key: &str| e[key].as_str().unwrap_or("-");
                let minute = e["time"].as_str().map_or("-", |t| &t[14..16]);
                let subresource = e["subresource"].as_str().map(|s| format!("/{s}")).unwrap_or_default();
                format!("{} {}{subresource} {minute} {}", word("manager"), word("operation"), e["fieldsV1"])
            })
            .collect();
        lines.sort();
        lines
    }

    fn data(&self) -> &Value {
        &self.live.as_ref().unwrap()["data"]
    }
}

#[test]
fn apply_owns_what_it_says() {
    let mut map = Subject::config_map();
    map.apply("golden", json!({"metadata": {"name": "x"}, "data": {"a": "1"}}));
    assert_eq!(map.owners(), [r#"golden Apply 01 {"f:data":{"f:a":{}}}"#]);
    map.apply("golden", json!({"metadata": {"name": "x"}, "data": {"a": "2"}}));
    assert_eq!(map.owners(), [r#"golden Apply 02 {"f:data":{"f:a":{}}}"#]);
    assert_eq!(map.data(), &json!({"a": "2"}));
    // The same again is no write.
    map.apply("golden", json!({"metadata": {"name": "x"}, "data": {"a": "2"}}));
    assert_eq!(map.owners(), [r#"golden Apply 02 {"f:data":{"f:a":{}}}"#]);
}

#[test]
fn conflicts_name_their_managers_and_fields() {
    let mut map = Subject::config_map();
    map.apply("one", json!({"data": {"a": "1"}}));
    let wanted = json!({"data": {"a": "2"}});
    assert_eq!(map.refused("two", wanted.clone()), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    map.apply("two", json!({"data": {"a": "1"}}));
    assert_eq!(map.owners(), [r#"one Apply 01 {"f:data":{"f:a":{}}}"#, r#"two Apply - {"f:data":{"f:a":{}}}"#]);
    let error = map.try_apply("", "three", false, wanted.clone()).unwrap_err();
    assert_eq!(
        error.status().message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\nconflicts with \"two\":\n- .data.a"
    );
    let details = error.status().details.unwrap();
    assert_eq!(details.causes[0].message, "conflict with \"one\"");
    assert_eq!(
        (details.causes[0].reason.as_str(), details.causes[0].field.as_str()),
        ("FieldManagerConflict", ".data.a")
    );
    map.try_apply("", "three", true, wanted).unwrap();
    assert_eq!(map.owners().len(), 1);
    assert_eq!(map.data(), &json!({"a": "2"}));
}

#[test]
fn updates_take_what_they_change() {
    let mut map = Subject::config_map();
    map.apply("one", json!({"metadata": {"labels": {"l": "1"}}, "data": {"a": "1"}}));
    map.patch("pm", json!({"data": {"a": "2"}, "metadata": {"labels": {"l": "2"}}}));
    assert_eq!(map.owners(), [r#"pm Update 02 {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:l":{}}}}"#]);
    assert_eq!(
        map.refused("one", json!({"metadata": {"labels": {"l": "1"}}, "data": {"a": "1"}})),
        "Apply failed with 2 conflicts: conflicts with \"pm\" using v1:\n- .data.a\n- .metadata.labels.l"
    );
    // Others keep their time, and an update that changes nothing is not recorded.
    map.patch("other", json!({"data": {"b": "1"}})).patch("idle", json!({"data": {"b": "1"}}));
    assert_eq!(
        map.owners(),
        [
            r#"other Update 04 {"f:data":{"f:b":{}}}"#,
            r#"pm Update 02 {"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:l":{}}}}"#,
        ]
    );
    map.patch("pm", json!({"data": {"a": null}}));
    assert_eq!(
        map.owners(),
        [r#"other Update 04 {"f:data":{"f:b":{}}}"#, r#"pm Update 02 {"f:metadata":{"f:labels":{"f:l":{}}}}"#]
    );
}

#[test]
fn a_created_object_is_owned_with_its_containers() {
    let mut map = Subject::config_map();
    map.put("c", json!({"metadata": {"labels": {"l": "1"}}, "data": {"a": "1"}}));
    assert_eq!(
        map.owners(),
        [r#"c Update 01 {"f:data":{".":{},"f:a":{}},"f:metadata":{"f:labels":{".":{},"f:l":{}}}}"#]
    );
    let mut deployment = Subject::new("apps", "Deployment");
    deployment.put(
        "kubectl",
        json!({"metadata": {"name": "x"}, "status": {}, "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"securityContext": {}, "containers": [{"name": "c",
                "image": "i", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}}),
    );
    assert_eq!(
        deployment.owners(),
        [concat!(
            r#"kubectl Update 01 {"f:spec":{"f:replicas":{},"f:selector":{},"#,
            r#""f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"#,
            r#""f:template":{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"#,
            r#""k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"#,
            r#""f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"#,
            r#""f:resources":{}}},"f:securityContext":{}}}}}"#
        )]
    );
}

#[test]
fn what_is_applied_no_more_goes_unless_shared() {
    let mut map = Subject::config_map();
    map.apply("one", json!({"data": {"a": "1", "b": "2"}})).apply("two", json!({"data": {"a": "1"}}));
    map.apply("one", json!({"data": {"b": "2"}}));
    assert_eq!(map.data(), &json!({"a": "1", "b": "2"}));
    assert_eq!(map.owners(), [r#"one Apply 01 {"f:data":{"f:b":{}}}"#, r#"two Apply - {"f:data":{"f:a":{}}}"#]);
    map.apply("two", json!({}));
    assert_eq!(map.data(), &json!({"b": "2"}));
    assert_eq!(map.owners(), [r#"one Apply 01 {"f:data":{"f:b":{}}}"#]);
    map.apply("one", json!({}));
    assert_eq!(map.data(), &Value::Null);
    assert_eq!(map.owners(), [""; 0]);
}

#[test]
fn nulls_and_empty_maps_are_owned_as_they_stand() {
    let mut map = Subject::config_map();
    map.apply("golden", json!({"data": null}));
    assert_eq!(map.owners(), [r#"golden Apply 01 {"f:data":{}}"#]);
    map.apply("golden", json!({"data": {"a": null}}));
    assert_eq!(map.owners(), [r#"golden Apply 02 {"f:data":{"f:a":{}}}"#]);
    assert_eq!(map.data(), &json!({"a": ""}));
}

#[test]
fn sets_and_keyed_lists_are_owned_by_element() {
    let mut map = Subject::config_map();
    map.apply("one", json!({"metadata": {"finalizers": ["example.com/a"]}}));
    map.apply("two", json!({"metadata": {"finalizers": ["example.com/b"]}}));
    assert_eq!(map.live.as_ref().unwrap()["metadata"]["finalizers"], json!(["example.com/a", "example.com/b"]));
    map.apply("one", json!({}));
    assert_eq!(map.live.as_ref().unwrap()["metadata"]["finalizers"], json!(["example.com/b"]));

    let mut service = Subject::new("", "Service");
    service.apply("one", json!({"spec": {"ports": [{"port": 80}]}}));
    let key = r#""k:{\"port\":80,\"protocol\":\"TCP\"}""#;
    assert_eq!(
        service.owners(),
        [format!("one Apply 01 {{\"f:spec\":{{\"f:ports\":{{{key}:{{\".\":{{}},\"f:port\":{{}}}}}}}}}}")]
    );
    // The server defaults the protocol; the configuration need not say it to mean the same port.
    service.patch("server", json!({"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]}}));
    service.apply("one", json!({"spec": {"ports": [{"port": 80, "name": "n"}, {"port": 81, "name": "m"}]}}));
    assert_eq!(
        service.live.as_ref().unwrap()["spec"]["ports"],
        json!([{"port": 80, "protocol": "TCP", "targetPort": 80, "name": "n"}, {"port": 81, "name": "m"}])
    );
}

/// A key's default tells elements apart and no more: it comes into no object.
#[test]
fn an_element_without_its_key_is_the_one_of_the_default() {
    let mut pod = Subject::new("", "Pod");
    let body = |secrets: Value| json!({"spec": {"imagePullSecrets": secrets}});
    pod.apply("one", body(json!([{}])));
    let secrets = |pod: &Subject| pod.live.as_ref().unwrap()["spec"]["imagePullSecrets"].clone();
    assert_eq!(secrets(&pod), json!([{}]));
    assert_eq!(pod.owners(), [r#"one Apply 01 {"f:spec":{"f:imagePullSecrets":{"k:{\"name\":\"\"}":{}}}}"#]);
    // The same again is no write, and shared by whoever says the same.
    pod.apply("one", body(json!([{}]))).apply("two", body(json!([{}, {"name": "a"}])));
    assert_eq!(secrets(&pod), json!([{}, {"name": "a"}]));
    pod.put("putter", body(json!([{}, {"name": "a"}])));
    assert_eq!(pod.owners().len(), 2, "{:?}", pod.owners());
    pod.apply("one", body(json!([]))).apply("two", body(json!([{"name": "a"}])));
    assert_eq!(secrets(&pod), json!([{"name": "a"}]));
}

#[test]
fn atomic_maps_and_lists_are_owned_whole() {
    let mut service = Subject::new("", "Service");
    service.apply("one", json!({"spec": {"selector": {"a": "1"}}}));
    assert_eq!(service.owners(), [r#"one Apply 01 {"f:spec":{"f:selector":{}}}"#]);
    assert_eq!(
        service.refused("two", json!({"spec": {"selector": {"b": "1"}}})),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.selector"
    );
    service.try_apply("", "two", true, json!({"spec": {"selector": {"b": "1"}}})).unwrap();
    assert_eq!(service.live.as_ref().unwrap()["spec"]["selector"], json!({"b": "1"}));
}

#[test]
fn configurations_that_do_not_fit_are_refused_in_upstreams_words() {
    let mut map = Subject::config_map();
    for (body, expected) in [
        (
            json!({"metadata": {"name": "x"}, "foo": 1}),
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .foo: field not declared in schema",
        ),
        (
            json!({"metadata": {"name": "x", "ownerReferences": [{"uid": "1"}, {"uid": "1"}]}}),
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .metadata.ownerReferences: duplicate entries for key [uid=\"1\"]",
        ),
        (
            json!({"metadata": {"name": "x", "finalizers": ["a", "a"]}}),
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .metadata.finalizers: duplicate entries for key [=\"a\"]",
        ),
        (json!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil"),
    ] {
        assert_eq!(map.refused("m", body), expected);
    }
    map.kind = GroupVersionKind::new("", "v1", "Secret");
    let secret = map.whole(&json!({}));
    map.kind = GroupVersionKind::new("", "v1", "ConfigMap");
    let error = map.written("", "m", |s, write| apply(s.node(), None, &secret, false, write)).unwrap_err();
    assert_eq!((error.status().code, error.status().message.as_str()), (400, "invalid object type: /v1, Kind=Secret"));
}

#[test]
fn managed_fields_can_be_emptied_and_are_then_left_alone() {
    let mut map = Subject::config_map();
    map.apply("one", json!({"data": {"a": "1"}}));
    map.patch("m", json!({"metadata": {"managedFields": [{"operation": "Nope"}]}}));
    assert_eq!(map.owners(), [r#"one Apply 01 {"f:data":{"f:a":{}}}"#]);
    map.patch("m", json!({"metadata": {"managedFields": [{}]}}));
    assert_eq!(map.owners(), [""; 0]);
    map.patch("m", json!({"data": {"a": "2"}}));
    assert_eq!(map.owners(), [""; 0]);
    assert_eq!(
        map.refused("one", json!({"data": {"a": "1"}})),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
}

#[test]
fn subresources_own_for_themselves() {
    let mut deployment = Subject::new("apps", "Deployment");
    deployment.apply("one", json!({"spec": {"replicas": 2}, "status": {"replicas": 9}}));
    assert_eq!(deployment.owners(), [r#"one Apply 01 {"f:spec":{"f:replicas":{}}}"#]);
    deployment.live.as_mut().unwrap()["status"] = json!({});
    deployment.try_apply("status", "st", false, json!({"status": {"replicas": 3}})).unwrap();
    assert_eq!(
        deployment.owners(),
        [r#"one Apply 01 {"f:spec":{"f:replicas":{}}}"#, r#"st Apply/status 02 {"f:status":{"f:replicas":{}}}"#]
    );
    let error = deployment.try_apply("status", "other", false, json!({"status": {"replicas": 4}})).unwrap_err();
    assert_eq!(
        error.status().message,
        "Apply failed with 1 conflict: conflict with \"st\" with subresource \"status\": .status.replicas"
    );
}

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    let last = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"1"}}"#;
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let created = json!({"metadata": {"name": "x", "annotations": {annotation: last}}, "data": {"a": "1", "b": "1"}});
    let mut map = Subject::config_map();
    map.put("kubectl-client-side-apply", created);
    let conflict = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.";
    assert_eq!(map.refused("else", json!({"data": {"a": "2"}})), format!("{conflict}a"));
    // What the annotation does not name is no business of kubectl's.
    assert_eq!(map.refused("kubectl", json!({"data": {"b": "2"}})), format!("{conflict}b"));
    map.apply("kubectl", json!({"metadata": {"name": "x"}, "data": {"a": "2"}}));
    let live = map.live.clone().unwrap();
    assert_eq!(live["data"], json!({"a": "2", "b": "1"}));
    let annotation: Value =
        serde_json::from_str(live["metadata"]["annotations"][annotation].as_str().unwrap()).unwrap();
    assert_eq!(annotation["data"], json!({"a": "2"}));
}

#[test]
fn many_updaters_are_joined() {
    let mut map = Subject::config_map();
    map.put("m00", json!({"data": {"k00": "1"}}));
    for i in 1..14 {
        map.patch(&format!("m{i:02}"), json!({"data": {format!("k{i:02}"): "1"}}));
    }
    let owners = map.owners();
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        r#"ancient-changes Update 05 {"f:data":{".":{},"f:k00":{},"f:k01":{},"f:k02":{},"f:k03":{},"f:k04":{}}}"#
    );
}

#[test]
fn scale_shows_and_moves_the_owner_of_replicas() {
    let mut deployment = Subject::new("apps", "Deployment");
    deployment.apply("one", json!({"spec": {"replicas": 2, "paused": true}}));
    let kind = deployment.kind.clone();
    let scale = Scale { kind: &kind, replicas: &["spec", "replicas"] };
    let fields = |value: &Value| value["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let parent = fields(deployment.live.as_ref().unwrap());
    let shown = scale.of_parent(&parent).unwrap();
    assert_eq!(shown[0]["apiVersion"], "autoscaling/v1");

    let mut as_scale = Subject::new("autoscaling", "Scale");
    as_scale.live = Some(json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"uid": "u", "managedFields": shown}, "spec": {"replicas": 2}}));
    as_scale.put_as("scale", "scaler", json!({"spec": {"replicas": 5}}));
    let back = scale.to_parent(&parent, &fields(as_scale.live.as_ref().unwrap())).unwrap();
    deployment.live.as_mut().unwrap()["metadata"]["managedFields"] = back.into();
    assert_eq!(
        deployment.owners(),
        [r#"one Apply 01 {"f:spec":{"f:paused":{}}}"#, r#"scaler Update/scale - {"f:spec":{"f:replicas":{}}}"#]
    );
}

#[test]
fn merged_lists_keep_the_order_of_both() {
    let names = |names: &str| {
        let containers: Vec<Value> = names.chars().map(|c| json!({"name": c.to_string()})).collect();
        json!({"containers": containers})
    };
    let node = schema::builtin().definition("io.k8s.api.core.v1.PodSpec").unwrap();
    for (live, config, merged) in [
        ("ab", "c", "abc"),
        ("abc", "b", "abc"),
        ("abc", "cb", "acb"),
        ("abc", "xa", "xabc"),
        ("abcd", "dxb", "acdxb"),
        ("", "ab", "ab"),
        ("ab", "ab", "ab"),
    ] {
        assert_eq!(
            typed::merge(node, &names(live), &names(config))["containers"],
            names(merged)["containers"],
            "{live} + {config}"
        );
    }
}

fn body() -> impl Strategy<Value = Value> {
    let map = || proptest::collection::btree_map("[abc]", "[xy]", 0..4);
    let containers = proptest::collection::btree_map("[abc]", ("[ij]", proptest::option::of(1..3)), 1..3);
    (map(), map(), containers, proptest::collection::btree_set("[fg]", 0..3)).prop_map(
        |(labels, node, containers, finalizers)| {
            let containers: Vec<Value> = containers
                .into_iter()
                .map(|(name, (image, port))| match port {
                    Some(port) => json!({"name": name, "image": image, "ports": [{"containerPort": port}]}),
                    None => json!({"name": name, "image": image}),
                })
                .collect();
            let mut body = json!({"metadata": {"labels": labels, "finalizers": finalizers},
            "spec": {"nodeSelector": node, "containers": containers}});
            // Whoever applies an empty map owns it, and conflicts, as upstream, with the next who applies one.
            for section in ["metadata", "spec"] {
                let fields = body[section].as_object_mut().unwrap();
                fields.retain(|_, v| {
                    v.as_object().is_none_or(|m| !m.is_empty()) && v.as_array().is_none_or(|a| !a.is_empty())
                });
            }
            body
        },
    )
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(first in body(), second in body(), other in body()) {
        let mut pod = Subject::new("", "Pod");
        pod.apply("a", first);
        pod.try_apply("", "b", true, other).unwrap();
        pod.try_apply("", "a", true, second.clone()).unwrap();
        let once = pod.live.clone();
        pod.try_apply("", "a", false, second).unwrap();
        prop_assert_eq!(pod.live, once);
    }

    /// The only manager's last configuration is all there is.
    #[test]
    fn applying_replaces_what_was_applied_before(first in body(), second in body()) {
        let mut pod = Subject::new("", "Pod");
        pod.apply("a", first).apply("a", second.clone());
        let mut fresh = Subject::new("", "Pod");
        fresh.apply("a", second);
        let meaning = |value: &Value| {
            typed::field_set(pod.node(), &json!({"metadata": {"labels": value["metadata"]["labels"], "finalizers": value["metadata"]["finalizers"]}, "spec": value["spec"]}))
        };
        let (a, b) = (meaning(pod.live.as_ref().unwrap()), meaning(fresh.live.as_ref().unwrap()));
        // Emptied containers may remain as empty; nothing with a value does.
        let left: Vec<String> = a.clone().difference(&b).paths().iter().map(|p| path::print(p)).collect();
        prop_assert!(left.iter().all(|p| matches!(p.as_str(), ".metadata.labels" | ".spec" | ".spec.nodeSelector" | ".metadata.finalizers" | ".spec.containers")), "{:?}", left);
        prop_assert!(b.difference(&a).paths().iter().all(|p| p.len() <= 2));
    }

    /// Without force, nothing of another manager changes.
    #[test]
    fn an_unforced_apply_leaves_others_alone(first in body(), second in body()) {
        let mut pod = Subject::new("", "Pod");
        pod.apply("a", first.clone());
        let outcome = pod.try_apply("", "b", false, second);
        if outcome.is_ok() {
            let live = pod.live.clone();
            pod.apply("a", first);
            prop_assert_eq!(pod.live, live);
        } else {
            let conflict = matches!(outcome, Err(ApplyError::Conflicts { .. }));
            prop_assert!(conflict);
        }
    }

    /// An updater and the others never own the same field with different values: after an update, what the others
    /// own did not change.
    #[test]
    fn an_update_takes_exactly_what_changed(first in body(), second in body()) {
        let mut pod = Subject::new("", "Pod");
        pod.apply("a", first).put("b", second);
        let live = pod.live.as_ref().unwrap();
        let set = |manager: &str| {
            let entries = entries::decode(entries::entries(live).to_vec()).unwrap();
            entries.into_iter().filter(|(id, _)| id.manager == manager).fold(Set::new(), |s, (_, owned)| s.union(owned.set))
        };
        prop_assert!(set("a").intersection(&set("b")).is_empty());
        let everything = typed::field_set(pod.node(), live).with_named_fields(Some(pod.node()));
        for path in set("a").paths() {
            prop_assert!(everything.contains(&path) || path.len() <= 2, "{}", path::print(&path));
        }
    }

    #[test]
    fn sets_survive_encoding(body in body()) {
        let node = schema::builtin().by_gvk("", "v1", "Pod").unwrap();
        let set = typed::field_set(node, &body);
        prop_assert_eq!(Set::decode(set.clone().encode()).unwrap(), set);
    }
}
