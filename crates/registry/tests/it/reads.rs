//! Getting and listing.

use registry::{GetOptions, IncludeObject, ListOptions, View};
use serde_json::{Value, json};

use crate::fixture::{Fixture, parse, version};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_show_one_revision() {
    let f = Fixture::new();
    for name in ["a", "b", "c", "d"] {
        f.config_map(name, json!({})).await;
    }
    let first = f.list("configmaps", ListOptions { limit: 2, ..ListOptions::default() }).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    assert_eq!((&first["kind"], first["items"][0].get("kind")), (&json!("ConfigMapList"), None));
    f.config_map("bb", json!({})).await;
    f.delete("configmaps", "c", json!({})).await.unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest =
        f.list("configmaps", ListOptions { continue_token: token.clone(), ..ListOptions::default() }).await.unwrap();
    assert_eq!(names(&rest), ["c", "d"]);
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);

    f.store.compact(f.store.revision()).await.unwrap();
    let status =
        f.list("configmaps", ListOptions { continue_token: token, ..ListOptions::default() }).await.unwrap_err();
    assert_eq!((status.code, status.reason), (410, apimachinery::Reason::Expired));
    let token = status.to_value()["metadata"]["continue"].as_str().unwrap().to_owned();
    let rest = f.list("configmaps", ListOptions { continue_token: token, ..ListOptions::default() }).await.unwrap();
    assert_eq!(names(&rest), ["bb", "d"]);
}

#[tokio::test]
async fn selectors_select() {
    let f = Fixture::new();
    f.config_map("a", json!({ "t": "1" })).await;
    f.config_map("b", json!({ "t": "2" })).await;
    let list = |labels: &str, fields: &str| {
        let options =
            ListOptions { label_selector: labels.into(), field_selector: fields.into(), ..ListOptions::default() };
        let f = &f;
        async move { f.list("configmaps", options).await }
    };
    assert_eq!(names(&list("t=2", "").await.unwrap()), ["b"]);
    assert_eq!(names(&list("", "metadata.name=a").await.unwrap()), ["a"]);
    assert_eq!(names(&list("", "metadata.name!=a").await.unwrap()), ["b"]);
    assert_eq!(names(&list("", "metadata.name=a,metadata.name=b").await.unwrap()), [""; 0]);
    let status = list("", "data.k=v").await.unwrap_err();
    assert_eq!(
        status.message,
        "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    let pods = f.list("pods", ListOptions { field_selector: "nope=1".into(), ..ListOptions::default() }).await;
    assert_eq!(pods.unwrap_err().message, "field label not supported: nope");
}

#[tokio::test]
async fn past_states_can_be_listed_exactly() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    f.config_map("b", json!({})).await;
    let options = ListOptions {
        resource_version: version(&first).to_string(),
        resource_version_match: "Exact".into(),
        ..ListOptions::default()
    };
    assert_eq!(names(&f.list("configmaps", options).await.unwrap()), ["a"]);
    let future = GetOptions { resource_version: "99999".into() };
    let cx = f.cx("configmaps", "a");
    let status = f.registry.get(&f.resource("configmaps"), &cx, &future, View::Object).await.unwrap_err();
    assert_eq!(status.message, format!("Timeout: Too large resource version: 99999, current: {}", f.store.revision()));
}

#[tokio::test]
async fn tables_have_rows() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    let table = f.list_view("configmaps", ListOptions::default(), View::Table(IncludeObject::Metadata)).await.unwrap();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let cx = f.cx("configmaps", "a");
    let resource = f.resource("configmaps");
    let bytes = f.registry.get(&resource, &cx, &GetOptions::default(), View::Metadata).await.unwrap();
    assert_eq!(parse(&bytes)["metadata"]["name"], "a");
}

#[tokio::test]
async fn a_get_shares_the_stored_bytes() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    let get = || async {
        let cx = f.cx("configmaps", "a");
        f.registry.get(&f.resource("configmaps"), &cx, &GetOptions::default(), View::Object).await.unwrap()
    };
    assert_eq!(get().await.as_ptr(), get().await.as_ptr());
}

#[tokio::test]
async fn both_groups_of_events_show_the_same_objects() {
    let f = Fixture::new();
    let event = json!({
        "metadata": { "name": "e" },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" },
        "reason": "R", "message": "m", "type": "Normal",
    });
    f.create("events", event).await.unwrap();
    let other = f.get("events.k8s.io/events", "e").await.unwrap();
    assert_eq!(other["apiVersion"], "events.k8s.io/v1");
    assert_eq!((&other["regarding"]["name"], &other["note"]), (&json!("p"), &json!("m")));
}
