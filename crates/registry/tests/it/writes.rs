//! Creating, changing and deleting.

use apimachinery::Reason;
use registry::{Deleted, FieldValidation, ListOptions};
use serde_json::json;

use crate::fixture::{Fixture, body, deployment, next, parse, pod, version};

#[tokio::test]
async fn what_is_created_can_be_read() {
    let f = Fixture::new();
    let made = f.create("pods", pod("a")).await.unwrap();
    let meta = &made["metadata"];
    assert_eq!((&meta["name"], &meta["namespace"]), (&json!("a"), &json!("default")));
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    assert!(meta["creationTimestamp"].is_string());
    assert!(version(&made) > 1);
    assert_eq!(made["spec"]["restartPolicy"], "Always");
    assert_eq!(meta["managedFields"][0]["manager"], "tests");
    assert_eq!(f.get("pods", "a").await.unwrap(), made);
    let again = f.create("pods", pod("a")).await.unwrap_err();
    assert_eq!(again.message, "pods \"a\" already exists");
}

#[tokio::test]
async fn updates_need_the_version_they_read() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    let second = f.merge("configmaps", "a", json!({ "data": { "k": "v" } })).await.unwrap();
    assert!(version(&second) > version(&first));
    let stale = f.update("configmaps", first.clone()).await.unwrap_err();
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
    let mut unconditional = first;
    unconditional["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    unconditional["data"] = json!({ "x": "y" });
    let third = f.update("configmaps", unconditional).await.unwrap();
    assert_eq!(third["data"], json!({ "x": "y" }));
    assert_eq!(third["metadata"]["uid"], second["metadata"]["uid"]);
}

#[tokio::test]
async fn a_change_of_nothing_writes_nothing() {
    let f = Fixture::new();
    let first = f.create("apps/deployments", deployment("d")).await.unwrap();
    let before = f.store.revision();
    let same = f.merge("apps/deployments", "d", json!({ "spec": { "paused": null } })).await.unwrap();
    assert_eq!(same, first);
    assert_eq!(f.update("apps/deployments", first.clone()).await.unwrap(), first);
    assert_eq!(f.store.revision(), before);
}

#[tokio::test]
async fn the_generation_counts_what_is_desired() {
    let f = Fixture::new();
    let made = f.create("apps/deployments", deployment("d")).await.unwrap();
    assert_eq!(made["metadata"]["generation"], 1);
    let labelled = f.merge("apps/deployments", "d", json!({ "metadata": { "labels": { "a": "b" } } })).await.unwrap();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let status = f.merge("apps/deployments", "d", json!({ "status": { "replicas": 3 } })).await.unwrap();
    assert_eq!(status["status"], made["status"]);
    let scaled = f.merge("apps/deployments", "d", json!({ "spec": { "replicas": 3 } })).await.unwrap();
    assert_eq!(scaled["metadata"]["generation"], 2);
    // A deployment's annotations are copied to its replica sets.
    let note = json!({ "metadata": { "annotations": { "a": "b" } } });
    let noted = f.merge("apps/deployments", "d", note.clone()).await.unwrap();
    assert_eq!(noted["metadata"]["generation"], 3);
    let again = f.merge("apps/deployments", "d", note).await.unwrap();
    assert_eq!(again["metadata"]["generation"], 3);
}

#[tokio::test]
async fn names_are_generated() {
    let f = Fixture::new();
    let mut object = pod("");
    object["metadata"] = json!({ "generateName": "web-" });
    let made = f.create("pods", object).await.unwrap();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[tokio::test]
async fn unknown_fields_are_told_refused_or_dropped() {
    let f = Fixture::new();
    let object = |name: &str| json!({ "metadata": { "name": name }, "foo": 1 });
    let mut cx = f.cx("configmaps", "");
    cx.field_validation = FieldValidation::Strict;
    let refused = f.create_as("configmaps", &cx, object("a")).await.unwrap_err();
    assert_eq!(
        refused.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"foo\""
    );
    cx.field_validation = FieldValidation::Warn;
    let made = f.create_as("configmaps", &cx, object("a")).await.unwrap();
    assert_eq!(cx.warnings.take(), ["unknown field \"foo\""]);
    assert_eq!(made.get("foo"), None);
    cx.field_validation = FieldValidation::Ignore;
    f.create_as("configmaps", &cx, object("b")).await.unwrap();
    assert!(cx.warnings.take().is_empty());
}

#[tokio::test]
async fn names_and_namespaces_must_fit_the_url() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    let cx = f.cx("configmaps", "a");
    let resource = f.resource("configmaps");
    let other = f.registry.update(&resource, &cx, body(&json!({ "metadata": { "name": "b" } }))).await.unwrap_err();
    assert_eq!(other.message, "the name of the object (b) does not match the name on the URL (a)");
    let away = f.create("configmaps", json!({ "metadata": { "name": "c", "namespace": "x" } })).await.unwrap_err();
    assert_eq!(away.message, "the namespace of the provided object does not match the namespace sent on the request");
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    let before = f.store.revision();
    let mut cx = f.cx("configmaps", "");
    cx.dry_run = true;
    f.create_as("configmaps", &cx, json!({ "metadata": { "name": "b" } })).await.unwrap();
    let taken = f.create_as("configmaps", &cx, json!({ "metadata": { "name": "a" } })).await.unwrap_err();
    assert!(taken.is(Reason::AlreadyExists));
    cx.name = "a".to_owned();
    let patch = registry::Patch::Merge(r#"{"data":{"k":"v"}}"#.into());
    let shown = f.registry.patch(&f.resource("configmaps"), &cx, patch).await.unwrap();
    assert_eq!(parse(&shown.bytes)["data"]["k"], "v");
    let gone = f.registry.delete(&f.resource("configmaps"), &cx, &Default::default()).await.unwrap();
    assert!(matches!(gone, Deleted::Gone(_)));
    assert_eq!(f.store.revision(), before);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let f = Fixture::new();
    f.create("configmaps", json!({ "metadata": { "name": "a", "finalizers": ["example.com/a"] } })).await.unwrap();
    let Deleted::Pending { bytes, accepted: false } = f.delete("configmaps", "a", json!({})).await.unwrap() else {
        panic!("it must wait");
    };
    let marked = parse(&bytes);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let more = json!({ "metadata": { "finalizers": ["example.com/a", "example.com/b"] } });
    let refused = f.merge("configmaps", "a", more).await.unwrap_err();
    assert!(refused.message.contains("no new finalizers can be added"), "{refused}");
    f.merge("configmaps", "a", json!({ "metadata": { "finalizers": null } })).await.unwrap();
    assert!(f.get("configmaps", "a").await.unwrap_err().is(Reason::NotFound));
}

#[tokio::test]
async fn preconditions_are_kept() {
    let f = Fixture::new();
    let made = f.config_map("a", json!({})).await;
    let wrong = f.delete("configmaps", "a", json!({ "preconditions": { "uid": "u" } })).await.unwrap_err();
    assert!(wrong.message.contains("the UID in the precondition (u) does not match the UID in record"), "{wrong}");
    let right = json!({ "preconditions": { "uid": made["metadata"]["uid"] } });
    let Deleted::Gone(status) = f.delete("configmaps", "a", right).await.unwrap() else { panic!("it must go") };
    let details = status.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("a", "configmaps"));
}

#[tokio::test]
async fn pods_go_gracefully_once_they_run_somewhere() {
    let f = Fixture::new();
    let mut scheduled = pod("a");
    scheduled["spec"]["nodeName"] = json!("n");
    f.create("pods", scheduled).await.unwrap();
    f.create("pods", pod("b")).await.unwrap();
    let Deleted::Pending { bytes, .. } = f.delete("pods", "a", json!({})).await.unwrap() else {
        panic!("it must wait")
    };
    assert_eq!(parse(&bytes)["metadata"]["deletionGracePeriodSeconds"], 30);
    let Deleted::Pending { bytes, .. } = f.delete("pods", "a", json!({ "gracePeriodSeconds": 5 })).await.unwrap()
    else {
        panic!("it must still wait")
    };
    assert_eq!(parse(&bytes)["metadata"]["deletionGracePeriodSeconds"], 5);
    f.delete("pods", "a", json!({ "gracePeriodSeconds": 0 })).await.unwrap();
    assert!(f.get("pods", "a").await.unwrap_err().is(Reason::NotFound));
    f.delete("pods", "b", json!({})).await.unwrap();
    assert!(f.get("pods", "b").await.unwrap_err().is(Reason::NotFound));
}

/// A pod whose grace is zero is marked before it goes, and who watches may act on that: its node deletes it too, others
/// write to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_at_its_end_does_not_stop_a_deletion() {
    const PODS: usize = 40;
    let f = std::sync::Arc::new(Fixture::new());
    let mut watcher = f.watch("pods", ListOptions::default()).await.unwrap();
    let other = f.clone();
    let meddler = tokio::spawn(async move {
        let mut meddled = 0;
        for number in 0.. {
            let pod = loop {
                let event = next(&mut watcher).await;
                let pod = parse(&event.object);
                if pod["metadata"]["deletionTimestamp"].is_string() && event.event_type.as_str() == "MODIFIED" {
                    break pod["metadata"]["name"].as_str().unwrap().to_owned();
                }
            };
            if pod == "last" {
                return meddled;
            }
            let done = match number % 2 {
                0 => other.delete("pods", &pod, json!({ "gracePeriodSeconds": 0 })).await.is_ok(),
                _ => other.merge("pods", &pod, json!({ "metadata": { "labels": { "a": "b" } } })).await.is_ok(),
            };
            meddled += usize::from(done);
        }
        unreachable!()
    });
    for name in (0..PODS).map(|number| format!("pod-{number}")).chain(["last".to_owned()]) {
        let mut pod = pod(&name);
        pod["spec"]["nodeName"] = json!("node");
        pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
        f.create("pods", pod).await.unwrap();
        assert!(matches!(f.delete("pods", &name, json!({})).await.unwrap(), Deleted::Object(_)));
        assert!(f.get("pods", &name).await.unwrap_err().is(Reason::NotFound));
    }
    println!("{} of {PODS} were meddled with", meddler.await.unwrap());
}

#[tokio::test]
async fn concurrent_patches_all_count() {
    const TASKS: usize = 24;
    let f = std::sync::Arc::new(Fixture::new());
    f.config_map("a", json!({})).await;
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let f = f.clone();
        tasks.push(tokio::spawn(async move {
            f.merge("configmaps", "a", json!({ "data": { task.to_string(): "x" } })).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.get("configmaps", "a").await.unwrap()["data"].as_object().unwrap().len(), TASKS);
}
