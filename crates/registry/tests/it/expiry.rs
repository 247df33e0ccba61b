//! Events that outlive their time.

use std::time::Duration;

use registry::ListOptions;
use serde_json::{Value, json};
use store::Write;

use crate::fixture::{Fixture, body, brief, parse, version};

fn event(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" },
        "reason": "R", "message": "m", "type": "Normal",
    })
}

/// The paused clock jumps whenever all wait for nothing but timers, so no timer may be set while the store works.
#[tokio::test(start_paused = true)]
async fn an_event_goes_an_hour_after_its_last_write() {
    let f = Fixture::new();
    let start = tokio::time::Instant::now();
    f.create("events", event("a")).await.unwrap();
    tokio::time::advance(Duration::from_secs(1800)).await;
    let last = f.merge("events", "a", json!({ "count": 2 })).await.unwrap();
    let options = ListOptions { resource_version: version(&last).to_string(), ..ListOptions::default() };
    let mut watch = f.watch("events", options).await.unwrap();
    let registry = f.registry.clone();
    let task = tokio::spawn(async move { registry.expire_events().await });
    let gone = watch.next().await.unwrap();
    assert_eq!(gone.event_type.as_str(), "DELETED");
    assert_eq!(parse(&gone.object)["count"], 2);
    // What was there before is as old as it says, in whole seconds.
    assert!((1800 + 3599..=1800 + 3600).contains(&start.elapsed().as_secs()));
    task.abort();
}

#[tokio::test]
async fn a_restart_knows_how_old_events_are() {
    let f = Fixture::new();
    let mut old = event("old");
    old["metadata"] = json!({
        "name": "old", "namespace": "default", "creationTimestamp": "2001-01-01T00:00:00Z", "resourceVersion": "1",
    });
    let key = &b"/registry/events/default/old"[..];
    let made = f.store.commit(Write::create(key, old.to_string())).await.unwrap();
    let registry = f.registry.clone();
    let options = ListOptions { resource_version: made.revision.to_string(), ..ListOptions::default() };
    let mut watch = f.watch("events", options).await.unwrap();
    let cx = f.cx("events", "");
    f.registry.create(&f.resource("events"), &cx, body(&event("new"))).await.unwrap();
    let task = tokio::spawn(async move { registry.expire_events().await });
    assert_eq!(brief(&mut watch).await.1, "new");
    let (what, name, _) = brief(&mut watch).await;
    assert_eq!((what.as_str(), name.as_str()), ("DELETED", "old"));
    f.get("events", "new").await.unwrap();
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn events_of_others_go_too() {
    let f = Fixture::new();
    let registry = f.registry.clone();
    let task = tokio::spawn(async move { registry.expire_events().await });
    tokio::task::yield_now().await;
    let made = f.create("events", event("a")).await.unwrap();
    let options = ListOptions { resource_version: version(&made).to_string(), ..ListOptions::default() };
    let mut watch = f.watch("events", options).await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(watch.next().await.unwrap().event_type.as_str(), "DELETED");
    assert_eq!(start.elapsed().as_secs(), 3600);
    task.abort();
}
