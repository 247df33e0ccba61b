//! What must hold for every kind, so that a new one cannot be forgotten.

use std::sync::Arc;

use apimachinery::{Reason, UserInfo};
use kinds::{Subresource, Verb};
use registry::{
    DeleteOptions, FieldValidation, GetOptions, IncludeObject, ListOptions, Patch, RequestContext, Resource, View,
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, body, parse};

/// A valid object of the kind, besides its name.
fn sample(kind: &str) -> Value {
    let pod = json!({ "containers": [{ "name": "c", "image": "busybox" }] });
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": pod });
    let workload = json!({ "selector": { "matchLabels": { "a": "b" } }, "template": template });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r" });
    match kind {
        "Pod" => json!({ "spec": pod }),
        "PodTemplate" => json!({ "template": template }),
        "Deployment" | "ReplicaSet" => json!({ "spec": workload }),
        "ControllerRevision" => json!({ "revision": 1, "data": { "a": "b" } }),
        "Service" => json!({ "spec": { "ports": [{ "port": 80 }] } }),
        "Endpoints" => json!({ "subsets": [] }),
        "EndpointSlice" => json!({ "addressType": "IPv4", "endpoints": [] }),
        "CertificateSigningRequest" => json!({ "spec": {
            // "-----BEGIN CERTIFICATE REQUEST-----"
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0=",
            "signerName": "example.com/signer", "usages": ["client auth"],
        } }),
        "Lease" => json!({ "spec": { "holderIdentity": "h", "leaseDurationSeconds": 10 } }),
        "Event" => json!({
            "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" },
            "reason": "R", "message": "m", "type": "Normal",
        }),
        "Role" | "ClusterRole" => json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] }),
        "RoleBinding" | "ClusterRoleBinding" => json!({ "roleRef": role, "subjects": [] }),
        "PriorityClass" => json!({ "value": 7 }),
        _ => json!({}),
    }
}

fn object(resource: &dyn Resource) -> Value {
    let gvk = &resource.facts().gvk;
    let mut object = match gvk.group.as_str() {
        "events.k8s.io" => json!({
            "regarding": { "kind": "Pod", "name": "p", "namespace": "default" },
            "reason": "R", "note": "n", "type": "Normal", "action": "A",
            "eventTime": "2030-01-01T00:00:00.000000Z",
            "reportingController": "example.com/c", "reportingInstance": "i",
        }),
        _ => sample(&gvk.kind),
    };
    object["metadata"] = json!({ "name": "x" });
    object
}

struct Kind {
    resource: Arc<dyn Resource>,
    name: String,
}

impl Kind {
    fn cx(&self, name: &str) -> RequestContext {
        let namespace = self.resource.facts().namespaced.then_some("default");
        RequestContext::new(UserInfo::new("tester", &[]), namespace, name)
    }
}

fn stored(f: &Fixture) -> Vec<Kind> {
    let all = f.registry.resources().all();
    let kinds: Vec<Kind> = all
        .into_iter()
        .filter(|resource| resource.facts().can(Verb::Get))
        .map(|resource| Kind { name: format!("{}", resource.facts().gvk), resource })
        .collect();
    assert!(kinds.len() >= 20);
    kinds
}

#[tokio::test]
async fn goes_round() {
    for kind in stored(&Fixture::new()) {
        let f = Fixture::new();
        let (resource, name) = (&kind.resource, &kind.name);
        let made = f.registry.create(resource, &kind.cx(""), body(&object(resource.as_ref()))).await;
        let made = made.unwrap_or_else(|status| panic!("{name}: {status}"));
        let read = f.registry.get(resource, &kind.cx("x"), &GetOptions::default(), View::Object).await.unwrap();
        assert_eq!(parse(&made.bytes), parse(&read), "{name}");
        assert_eq!(parse(&read)["kind"], json!(resource.facts().gvk.kind));

        let revision = f.store.revision();
        let same = f.registry.update(resource, &kind.cx("x"), registry::Body::Json(read.clone())).await;
        let same = same.unwrap_or_else(|status| panic!("{name}: {status}"));
        assert_eq!((parse(&same.bytes), f.store.revision()), (parse(&read), revision), "{name}");

        let list = f.registry.list(resource, &kind.cx(""), &ListOptions::default(), View::Object).await.unwrap();
        let list = parse(&list.chunks.concat());
        assert_eq!(list["items"][0]["metadata"], parse(&read)["metadata"], "{name}");

        let view = View::Table(IncludeObject::None);
        let table = f.registry.list(resource, &kind.cx(""), &ListOptions::default(), view).await.unwrap();
        let table = parse(&table.chunks.concat());
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        assert_eq!(table["rows"][0]["cells"].as_array().unwrap().len(), columns, "{name}");

        let mut watcher =
            f.registry.watch(resource, &kind.cx(""), &ListOptions::default(), View::Object).await.unwrap();
        assert_eq!(parse(&crate::fixture::next(&mut watcher).await.object), parse(&read), "{name}");
    }
}

#[tokio::test]
async fn refuses_unknown_fields_when_strict() {
    let f = Fixture::new();
    for kind in stored(&f) {
        let mut cx = kind.cx("");
        cx.field_validation = FieldValidation::Strict;
        let mut object = object(kind.resource.as_ref());
        object["nosuch"] = json!(1);
        let status = f.registry.create(&kind.resource, &cx, body(&object)).await.unwrap_err();
        assert!(status.message.contains("strict decoding error: unknown field \"nosuch\""), "{}: {status}", kind.name);
    }
}

#[tokio::test]
async fn writes_status_by_status_alone() {
    let f = Fixture::new();
    for kind in stored(&f).iter().filter(|kind| kind.resource.facts().has(Subresource::Status)) {
        let (resource, name) = (&kind.resource, &kind.name);
        let made = f.registry.create(resource, &kind.cx(""), body(&object(resource.as_ref()))).await.unwrap();
        let before = parse(&made.bytes)["status"].clone();
        let condition = json!({
            "type": "Tested", "status": "True", "reason": "R", "message": "m",
            "lastTransitionTime": "2030-01-01T00:00:00Z",
        });
        let condition = json!({ "status": { "conditions": [condition] } });
        let patch = || Patch::Merge(condition.to_string().into());
        let after = f.registry.patch(resource, &kind.cx("x"), patch()).await.unwrap();
        assert_eq!(parse(&after.bytes)["status"], before, "{name}");
        let after = f.registry.patch_subresource(resource, "status", &kind.cx("x"), patch()).await;
        let after = after.unwrap_or_else(|status| panic!("{name}: {status}"));
        assert_eq!(parse(&after.bytes)["status"]["conditions"][0]["type"], "Tested", "{name}");
    }
}

#[tokio::test]
async fn pretends_in_a_dry_run() {
    let f = Fixture::new();
    let before = f.store.revision();
    for kind in stored(&f) {
        let mut cx = kind.cx("");
        cx.dry_run = true;
        f.registry.create(&kind.resource, &cx, body(&object(kind.resource.as_ref()))).await.unwrap();
    }
    assert_eq!(f.store.revision(), before);
}

#[tokio::test]
async fn goes_when_deleted() {
    for kind in stored(&Fixture::new()) {
        let f = Fixture::new();
        let (resource, name) = (&kind.resource, &kind.name);
        f.registry.create(resource, &kind.cx(""), body(&object(resource.as_ref()))).await.unwrap();
        f.registry.delete(resource, &kind.cx("x"), &DeleteOptions::default()).await.unwrap();
        let after = f.registry.get(resource, &kind.cx("x"), &GetOptions::default(), View::Object).await;
        if resource.facts().gvk.kind == "Namespace" {
            assert_eq!(parse(&after.unwrap())["status"]["phase"], "Terminating");
            continue;
        }
        assert!(after.unwrap_err().is(Reason::NotFound), "{name}");
    }
}
