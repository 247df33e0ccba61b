//! Informers against a server that misbehaves as it is told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod election;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use api::core::v1::ConfigMap;
use apimachinery::UserInfo;
use client::{Body, Client};
use controller_runtime::{Informers, Lister, Tasks};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// One answer: a code and the text it sends before it ends.
struct Answer {
    code: u16,
    text: String,
}

/// Gives its answers in order, and then hangs; keeps what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn then(self, code: u16, lines: &[Value]) -> Self {
        let text = lines.iter().map(|line| format!("{line}\n")).collect();
        self.answers.lock().unwrap().push(Answer { code, text });
        self
    }

    fn then_text(self, text: &str) -> Self {
        self.answers.lock().unwrap().push(Answer { code: 200, text: text.to_owned() });
        self
    }

    fn informer(&self) -> (Lister<ConfigMap>, Tasks) {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            let asked = request.uri().to_string();
            async move { Ok::<_, Infallible>(script.answer(asked).await) }
        });
        let client = Client::in_process(service, UserInfo::anonymous());
        let tasks = Tasks::new();
        (Informers::new(client, tasks.clone()).watch(), tasks)
    }

    async fn answer(&self, asked: String) -> Response<Body> {
        self.asked.lock().unwrap().push(asked);
        let next = {
            let mut answers = self.answers.lock().unwrap();
            (!answers.is_empty()).then(|| answers.remove(0))
        };
        let Some(Answer { code, text }) = next else { return std::future::pending().await };
        Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Body::from(text.into_bytes())).unwrap()
    }

    fn asked(&self, index: usize) -> String {
        self.asked.lock().unwrap().get(index).cloned().unwrap_or_default()
    }
}

fn event(kind: &str, name: &str, revision: u64) -> Value {
    json!({"type": kind, "object": {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": revision.to_string()}}})
}

fn bookmark(revision: u64, list_end: bool) -> Value {
    let annotations = if list_end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    json!({"type": "BOOKMARK", "object": {"metadata":
        {"resourceVersion": revision.to_string(), "annotations": annotations}}})
}

fn names(lister: &Lister<ConfigMap>) -> Vec<String> {
    lister.entries().iter().map(|entry| entry.header.key.name.to_string()).collect()
}

async fn reaches(lister: &Lister<ConfigMap>, expect: &[&str]) {
    let met = lister.wait_until(Duration::from_secs(120), |_| lister.is_synced() && names(lister) == expect).await;
    assert!(met, "{:?} instead of {expect:?}", names(lister));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_resumed_from_the_last_revision() {
    let script = Script::default()
        .then(200, &[event("ADDED", "a", 3), bookmark(5, true), event("ADDED", "b", 7), bookmark(9, false)])
        .then(200, &[event("DELETED", "a", 10)]);
    let (lister, _tasks) = script.informer();
    reaches(&lister, &["b"]).await;
    assert!(script.asked(0).contains("sendInitialEvents=true"), "{}", script.asked(0));
    assert!(script.asked(1).contains("resourceVersion=9"), "{}", script.asked(1));
    assert_eq!(lister.revision(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_expired_revision_is_listed_anew_and_what_is_gone_is_announced() {
    let expired = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}});
    let script = Script::default()
        .then(200, &[event("ADDED", "a", 3), event("ADDED", "b", 4), bookmark(5, true)])
        .then(200, &[expired])
        .then(200, &[event("ADDED", "b", 4), event("ADDED", "c", 20), bookmark(20, true)]);
    let (lister, _tasks) = script.informer();
    let mut changes = lister.subscribe();
    reaches(&lister, &["b", "c"]).await;
    let mut seen = Vec::new();
    while let Some(change) = changes.try_next() {
        seen.push((change.key.name.to_string(), change.new.is_some()));
    }
    seen.sort();
    // Whoever made `a` hears that it is gone, though it came and went between two looks.
    assert_eq!(seen, [("a".to_owned(), false), ("b".to_owned(), true), ("c".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_survived_by_listing_anew() {
    let script = Script::default()
        .then(200, &[event("ADDED", "a", 3), bookmark(5, true)])
        .then_text("{\"type\":\"ADDED\",\"obj\n")
        .then(200, &[event("ADDED", "z", 30), bookmark(30, true)]);
    let (lister, _tasks) = script.informer();
    reaches(&lister, &["z"]).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_streamed_list_changes_nothing() {
    let script =
        Script::default().then(200, &[event("ADDED", "a", 3)]).then(200, &[event("ADDED", "b", 4), bookmark(5, true)]);
    let (lister, _tasks) = script.informer();
    reaches(&lister, &["b"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_stream_lists_is_read_in_pages() {
    let refusal =
        json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "sendInitialEvents is forbidden"});
    let item = |name: &str| event("", name, 4)["object"].clone();
    let script = Script::default()
        .then(422, &[refusal])
        .then(200, &[json!({"metadata": {"resourceVersion": "8", "continue": "t"}, "items": [item("a")]})])
        .then(200, &[json!({"metadata": {"resourceVersion": "8"}, "items": [item("b")]})])
        .then(200, &[event("MODIFIED", "b", 9), event("ADDED", "c", 10)]);
    let (lister, _tasks) = script.informer();
    reaches(&lister, &["a", "b", "c"]).await;
    assert!(script.asked(2).contains("continue=t") && script.asked(3).contains("resourceVersion=8"));
}
