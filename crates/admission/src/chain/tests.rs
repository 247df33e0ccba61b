//! The chain on pods, nodes and namespaces.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use apimachinery::UserInfo;
use serde_json::{Value, json};

use super::*;
use crate::{Gvr, Operation};

#[derive(Default)]
struct Known(HashMap<(String, String), Object>);

#[async_trait]
impl Objects for Known {
    async fn get(&self, resource: Gvr<'_>, _: &str, name: &str) -> Result<Option<Object>, Status> {
        Ok(self.0.get(&(resource.2.to_owned(), name.to_owned())).cloned())
    }

    async fn list(&self, resource: Gvr<'_>, _: &str) -> Result<Vec<Object>, Status> {
        Ok(self.0.iter().filter(|((kind, _), _)| kind == resource.2).map(|(_, o)| o.clone()).collect())
    }
}

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn chain() -> Chain {
    let mut known = Known::default();
    let mut put =
        |kind: &str, name: &str, value: Value| known.0.insert((kind.to_owned(), name.to_owned()), object(value));
    put("namespaces", "n", json!({"metadata": {"name": "n"}}));
    put("namespaces", "leaving", json!({"metadata": {"name": "leaving"}, "status": {"phase": "Terminating"}}));
    put("serviceaccounts", "default", json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "s"}]}));
    put("priorityclasses", "high", json!({"metadata": {"name": "high"}, "value": 7}));
    Chain::builtin(Arc::new(known))
}

struct Ask<'a> {
    user: UserInfo,
    operation: Operation,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

async fn admit(ask: Ask<'_>, mut value: Object) -> Result<Object, Status> {
    let request = Request {
        operation: ask.operation,
        group: "",
        kind: "",
        resource: ask.resource,
        namespaced: !ask.namespace.is_empty(),
        subresource: "",
        namespace: ask.namespace,
        name: ask.name,
        user: &ask.user,
        old: None,
        options: &Value::Null,
        dry_run: false,
        warn: &|_| {},
    };
    chain().mutate(&request, Some(&mut value)).await.map(|()| value)
}

fn create_pod(namespace: &str) -> Ask<'_> {
    Ask { user: UserInfo::new("u", &[]), operation: Operation::Create, resource: "pods", namespace, name: "" }
}

fn pod(spec: Value) -> Object {
    object(json!({"metadata": {"name": "p"}, "spec": spec}))
}

#[tokio::test]
async fn a_pod_gets_account_token_priority_and_tolerations() {
    let admitted = admit(create_pod("n"), pod(json!({"containers": [{"name": "c"}]}))).await.unwrap();
    assert_eq!(admitted.get_str(&["spec", "serviceAccountName"]), Some("default"));
    assert_eq!(admitted.get(&["spec", "imagePullSecrets"]), Some(&json!([{"name": "s"}])));
    let volume = admitted.get(&["spec", "volumes"]).unwrap()[0]["name"].clone();
    let mount = &admitted.get(&["spec", "containers"]).unwrap()[0]["volumeMounts"][0];
    assert_eq!(mount["name"], volume);
    assert_eq!(admitted.get(&["spec", "priority"]), Some(&json!(0)));
    assert_eq!(admitted.get(&["spec", "tolerations"]).unwrap().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn refusals_read_as_upstream_writes_them() {
    let message = |result: Result<Object, Status>| result.unwrap_err().message;
    let spec = json!({"containers": [{"name": "c"}], "serviceAccountName": "x"});
    assert_eq!(
        message(admit(create_pod("n"), pod(spec)).await),
        "pods \"p\" is forbidden: error looking up service account n/x: serviceaccount \"x\" not found"
    );
    assert_eq!(message(admit(create_pod("nosuch"), pod(json!({}))).await), "namespaces \"nosuch\" not found");
    assert_eq!(
        message(admit(create_pod("leaving"), pod(json!({}))).await),
        "pods \"p\" is forbidden: unable to create new content in namespace leaving because it is being terminated"
    );
    let spec = json!({"priorityClassName": "none"});
    assert_eq!(
        message(admit(create_pod("n"), pod(spec)).await),
        "pods \"p\" is forbidden: no PriorityClass with name none was found"
    );
    let delete = Ask { operation: Operation::Delete, resource: "namespaces", name: "default", ..create_pod("") };
    assert_eq!(
        message(admit(delete, Object::default()).await),
        "namespaces \"default\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test]
async fn a_class_sets_the_priority() {
    let admitted = admit(create_pod("n"), pod(json!({"priorityClassName": "high"}))).await.unwrap();
    assert_eq!(admitted.get(&["spec", "priority"]), Some(&json!(7)));
}

#[tokio::test]
async fn a_node_writes_only_itself() {
    let ask = |name| Ask {
        user: UserInfo::new("system:node:a", &["system:nodes"]),
        operation: Operation::Create,
        resource: "nodes",
        namespace: "",
        name,
    };
    let node = |name: &str, label: &str| object(json!({"metadata": {"name": name, "labels": {label: "x"}}}));
    let admitted = admit(ask("a"), node("a", "kubernetes.io/os")).await.unwrap();
    assert_eq!(admitted.get(&["spec", "taints"]).unwrap()[0]["key"], "node.kubernetes.io/not-ready");
    assert!(admit(ask("b"), node("b", "own")).await.is_err());
    assert!(admit(ask("a"), node("a", "node-restriction.kubernetes.io/x")).await.is_err());
    assert!(admit(ask("a"), node("a", "node-role.kubernetes.io/master")).await.is_err());
}
