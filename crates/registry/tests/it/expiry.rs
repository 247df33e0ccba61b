//! Events that outlive their time.

use std::{sync::Arc, time::Duration};

use apimachinery::Reason;
use registry::{AdmitAll, Config, Registry, Resources};
use serde_json::{Value, json};

use crate::fixture::{Fixture, body};

fn event(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" },
        "reason": "R", "message": "m", "type": "Normal",
    })
}

async fn gone(f: &Fixture, name: &str) {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match f.get("events", name).await {
                Err(status) if status.is(Reason::NotFound) => return,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_an_hour_after_its_last_write() {
    let f = Fixture::new();
    let registry = f.registry.clone();
    let task = tokio::spawn(async move { registry.expire_events().await });
    f.create("events", event("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    f.create("events", event("b")).await.unwrap();
    f.merge("events", "a", json!({ "count": 2 })).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1801)).await;
    f.get("events", "a").await.unwrap();
    f.get("events", "b").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    gone(&f, "a").await;
    gone(&f, "b").await;
    task.abort();
}

#[tokio::test]
async fn a_restart_knows_how_old_events_are() {
    let f = Fixture::new();
    f.create("events", event("new")).await.unwrap();
    let config = Config { event_ttl: Duration::ZERO, ..Config::default() };
    let registry = Registry::new(&config, f.store.clone(), Resources::built_in(), Arc::new(AdmitAll));
    let cx = f.cx("events", "");
    let kept = Registry::new(&Config::default(), f.store.clone(), Resources::built_in(), Arc::new(AdmitAll));
    kept.create(&f.resource("events"), &cx, body(&event("other"))).await.unwrap();
    let task = tokio::spawn(async move { registry.expire_events().await });
    gone(&f, "new").await;
    f.get("events", "other").await.unwrap();
    task.abort();
}
