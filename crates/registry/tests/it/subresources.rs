//! Status, scale, binding, eviction and finalize.

use apimachinery::{Reason, Status};
use registry::{GetOptions, Patch};
use serde_json::{Value, json};

use crate::fixture::{Answer, Fixture, body, deployment, parse, pod};

async fn put(f: &Fixture, resource: &str, name: &str, subresource: &str, object: Value) -> Answer {
    let cx = f.cx(resource, name);
    let written = f.registry.update_subresource(&f.resource(resource), subresource, &cx, body(&object)).await?;
    Ok(parse(&written.bytes))
}

async fn merge(f: &Fixture, resource: &str, name: &str, subresource: &str, patch: Value) -> Answer {
    let cx = f.cx(resource, name);
    let patch = Patch::Merge(patch.to_string().into());
    let written = f.registry.patch_subresource(&f.resource(resource), subresource, &cx, patch).await?;
    Ok(parse(&written.bytes))
}

async fn post(f: &Fixture, name: &str, subresource: &str, object: Value) -> Result<Status, Status> {
    let cx = f.cx("pods", name);
    f.registry.create_subresource(&f.resource("pods"), subresource, &cx, body(&object)).await
}

#[tokio::test]
async fn status_is_written_by_status_alone() {
    let f = Fixture::new();
    let made = f.create("apps/deployments", deployment("d")).await.unwrap();
    let mut changed = made.clone();
    changed["status"] = json!({ "replicas": 3 });
    changed["spec"]["replicas"] = json!(7);
    let after = put(&f, "apps/deployments", "d", "status", changed).await.unwrap();
    assert_eq!(after["status"]["replicas"], 3);
    assert_eq!(after["spec"], made["spec"]);
    assert_eq!(after["metadata"]["generation"], 1);
    let owners = after["metadata"]["managedFields"].as_array().unwrap();
    assert!(owners.iter().any(|owner| owner["subresource"] == "status"));
}

#[tokio::test]
async fn a_scale_shows_and_sets_the_replicas() {
    let f = Fixture::new();
    f.create("apps/deployments", deployment("d")).await.unwrap();
    let cx = f.cx("apps/deployments", "d");
    let resource = f.resource("apps/deployments");
    let scale = f.registry.get_subresource(&resource, "scale", &cx, &GetOptions::default()).await.unwrap();
    let scale = parse(&scale);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(1)));
    assert_eq!(scale["status"]["selector"], "app=a");
    let wanted = json!({ "metadata": { "name": "d" }, "spec": { "replicas": 4 } });
    let after = put(&f, "apps/deployments", "d", "scale", wanted).await.unwrap();
    assert_eq!(after["spec"]["replicas"], 4);
    let after = merge(&f, "apps/deployments", "d", "scale", json!({ "spec": { "replicas": 2 } })).await.unwrap();
    assert_eq!(after["spec"]["replicas"], 2);
    let parent = f.get("apps/deployments", "d").await.unwrap();
    assert_eq!((&parent["spec"]["replicas"], &parent["metadata"]["generation"]), (&json!(2), &json!(3)));
    let negative =
        merge(&f, "apps/deployments", "d", "scale", json!({ "spec": { "replicas": -1 } })).await.unwrap_err();
    assert_eq!(
        negative.message,
        "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    );
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let f = Fixture::new();
    f.create("pods", pod("a")).await.unwrap();
    let to = |node: &str| json!({ "metadata": { "name": "a" }, "target": { "kind": "Node", "name": node } });
    assert_eq!(post(&f, "a", "binding", to("n1")).await.unwrap().code, 201);
    let bound = f.get("pods", "a").await.unwrap();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    let scheduled = bound["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "PodScheduled");
    assert_eq!(scheduled.unwrap()["status"], "True");
    let again = post(&f, "a", "binding", to("n2")).await.unwrap_err();
    assert_eq!(
        again.message,
        "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\""
    );
    assert_eq!(post(&f, "a", "binding", to("")).await.unwrap_err().message, "target.name: Required value");
}

#[tokio::test]
async fn an_evicted_pod_says_why() {
    let f = Fixture::new();
    let mut object = pod("a");
    object["spec"]["nodeName"] = json!("n");
    f.create("pods", object).await.unwrap();
    post(&f, "a", "eviction", json!({ "metadata": { "name": "a" } })).await.unwrap();
    let going = f.get("pods", "a").await.unwrap();
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let conditions = going["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "DisruptionTarget" && c["reason"] == "EvictionByEvictionAPI"));
}

#[tokio::test]
async fn a_namespace_waits_to_be_emptied() {
    let f = Fixture::new();
    let made = f.create("namespaces", json!({ "metadata": { "name": "x" } })).await.unwrap();
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "x");
    assert_eq!((&made["spec"]["finalizers"], &made["status"]["phase"]), (&json!(["kubernetes"]), &json!("Active")));
    f.delete("namespaces", "x", json!({})).await.unwrap();
    let going = f.get("namespaces", "x").await.unwrap();
    assert_eq!(going["status"]["phase"], "Terminating");
    let mut emptied = going;
    emptied["spec"]["finalizers"] = json!([]);
    put(&f, "namespaces", "x", "finalize", emptied).await.unwrap();
    assert!(f.get("namespaces", "x").await.unwrap_err().is(Reason::NotFound));
}

#[tokio::test]
async fn an_apply_makes_changes_and_conflicts() {
    let f = Fixture::new();
    let apply = |manager: &'static str, value: &'static str, force: bool| {
        let f = &f;
        async move {
            let mut cx = f.cx("configmaps", "a");
            cx.field_manager = manager.to_owned();
            let body =
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "k": value } });
            let patch = Patch::Apply { body: body.to_string().into(), force };
            f.registry.patch(&f.resource("configmaps"), &cx, patch).await
        }
    };
    assert!(apply("one", "1", false).await.unwrap().created);
    let conflict = apply("two", "2", false).await.unwrap_err();
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    let forced = apply("two", "2", true).await.unwrap();
    assert_eq!(parse(&forced.bytes)["data"]["k"], "2");
}
