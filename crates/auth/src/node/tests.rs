//! A node sees what its own pods refer to and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use apimachinery::Object;
use serde_json::json;

use super::*;

fn authorizer() -> NodeAuthorizer {
    let graph = Arc::new(Graph::new());
    graph.put_pod(
        &Object::from_value(json!({
            "metadata": {"name": "p", "namespace": "d"},
            "spec": {
                "nodeName": "n1", "serviceAccountName": "sa",
                "volumes": [{"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
                            {"secret": {"secretName": "s"}}],
                "containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}],
            },
        }))
        .unwrap(),
    );
    NodeAuthorizer::new(graph, Vec::new())
}

fn ask(node: &str, verb: &str, resource: &str, name: &str) -> Decision {
    let user = UserInfo::new(format!("system:node:{node}"), &["system:nodes"]);
    let mut a = Attributes::resource(&user, verb, "", resource);
    (a.namespace, a.name) = ("d".to_owned(), name.to_owned());
    authorizer().authorize(&a)
}

#[test]
fn reads_follow_the_pods_of_the_node() {
    for (resource, name) in [("secrets", "s"), ("configmaps", "c"), ("configmaps", "kube-root-ca.crt"), ("pods", "p")] {
        assert!(ask("n1", "get", resource, name).allows(), "{resource} {name}");
        assert_eq!(
            ask("n2", "get", resource, name),
            Decision::NoOpinion("no relationship found between node 'n2' and this object".to_owned())
        );
    }
    assert!(ask("n1", "watch", "secrets", "s").allows());
    assert!(!ask("n1", "list", "secrets", "").allows());
    assert!(!ask("n1", "update", "secrets", "s").allows());
}

#[test]
fn tokens_are_for_the_accounts_of_its_pods() {
    let user = UserInfo::new("system:node:n1", &["system:nodes"]);
    let mut a = Attributes::resource(&user, "create", "", "serviceaccounts");
    (a.namespace, a.name, a.subresource) = ("d".to_owned(), "sa".to_owned(), "token".to_owned());
    assert!(authorizer().authorize(&a).allows());
    a.name = "other".to_owned();
    assert!(!authorizer().authorize(&a).allows());
}

#[test]
fn the_name_without_the_group_is_no_node() {
    let user = UserInfo::new("system:node:n1", &[]);
    assert!(node_of(&user).is_none());
}

#[test]
fn lists_of_pods_and_nodes_are_its_own() {
    let user = UserInfo::new("system:node:n1", &["system:nodes"]);
    let mut a = Attributes::resource(&user, "list", "", "pods");
    assert!(!authorizer().authorize(&a).allows());
    a.field_selector = apimachinery::FieldSelector::parse("spec.nodeName=n1").unwrap();
    assert!(authorizer().authorize(&a).allows());
    let mut a = Attributes::resource(&user, "get", "", "nodes");
    a.name = "n2".to_owned();
    assert!(!authorizer().authorize(&a).allows());
}
