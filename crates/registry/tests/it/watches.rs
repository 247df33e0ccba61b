//! Watching.

use registry::{EventType, ListOptions};
use serde_json::json;

use crate::fixture::{Fixture, brief, next, parse, version};

fn from(version: u64) -> ListOptions {
    ListOptions { resource_version: version.to_string(), ..ListOptions::default() }
}

#[tokio::test]
async fn the_life_of_an_object() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    let mut watch = f.watch("configmaps", from(version(&first))).await.unwrap();
    let b = f.config_map("b", json!({})).await;
    let changed = f.merge("configmaps", "a", json!({ "data": { "k": "v" } })).await.unwrap();
    f.delete("configmaps", "a", json!({})).await.unwrap();
    assert_eq!(brief(&mut watch).await, ("ADDED".into(), "b".into(), version(&b)));
    assert_eq!(brief(&mut watch).await, ("MODIFIED".into(), "a".into(), version(&changed)));
    assert_eq!(brief(&mut watch).await, ("DELETED".into(), "a".into(), f.store.revision().0));
}

#[tokio::test]
async fn without_a_version_the_state_comes_first() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    for options in [ListOptions::default(), from(0)] {
        let mut watch = f.watch("configmaps", options).await.unwrap();
        assert_eq!(brief(&mut watch).await.0, "ADDED");
    }
}

#[tokio::test]
async fn selectors_add_and_delete() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({ "t": "1" })).await;
    let options = ListOptions { label_selector: "t=1".into(), ..from(version(&first)) };
    let mut watch = f.watch("configmaps", options).await.unwrap();
    f.merge("configmaps", "a", json!({ "metadata": { "labels": { "t": "2" } } })).await.unwrap();
    f.merge("configmaps", "a", json!({ "metadata": { "labels": { "x": "2" } } })).await.unwrap();
    f.merge("configmaps", "a", json!({ "metadata": { "labels": { "t": "1" } } })).await.unwrap();
    let left = next(&mut watch).await;
    assert_eq!(left.event_type, EventType::Deleted);
    assert_eq!(parse(&left.object)["metadata"]["labels"]["t"], "1");
    assert!(version(&parse(&left.object)) > version(&first));
    assert_eq!(brief(&mut watch).await.0, "ADDED");
}

#[tokio::test]
async fn a_watch_list_ends_its_state_with_a_bookmark() {
    let f = Fixture::new();
    f.config_map("a", json!({})).await;
    let options = ListOptions {
        send_initial_events: Some(true),
        resource_version_match: "NotOlderThan".into(),
        allow_watch_bookmarks: true,
        ..ListOptions::default()
    };
    let mut watch = f.watch("configmaps", options).await.unwrap();
    assert_eq!(brief(&mut watch).await.0, "ADDED");
    let end = next(&mut watch).await;
    assert_eq!(end.event_type, EventType::Bookmark);
    assert_eq!(parse(&end.object)["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn what_is_compacted_is_gone() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    f.config_map("b", json!({})).await;
    let last = f.config_map("c", json!({})).await;
    f.store.compact(f.store.revision()).await.unwrap();
    let status = f.watch("configmaps", from(version(&first))).await.map(|_| ()).unwrap_err();
    assert_eq!(status.code, 410);
    assert_eq!(status.message, format!("too old resource version: {} ({})", version(&first), version(&last)));
}

#[tokio::test]
async fn watchers_share_the_encoding() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    let mut one = f.watch("configmaps", from(version(&first))).await.unwrap();
    let mut two = f.watch("configmaps", from(version(&first))).await.unwrap();
    f.config_map("b", json!({})).await;
    assert_eq!(next(&mut one).await.frame.as_ptr(), next(&mut two).await.frame.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_move_on() {
    let f = Fixture::new();
    let first = f.config_map("a", json!({})).await;
    let options = ListOptions { allow_watch_bookmarks: true, ..from(version(&first)) };
    let mut watch = f.watch("configmaps", options).await.unwrap();
    f.create("secrets", json!({ "metadata": { "name": "s" } })).await.unwrap();
    let before = tokio::time::Instant::now();
    let event = watch.next().await.unwrap();
    assert_eq!(event.event_type, EventType::Bookmark);
    assert_eq!(before.elapsed().as_secs(), 60);
    assert_eq!(version(&parse(&event.object)), f.store.revision().0);
}
