//! What the server says and does when its store is in trouble.

use std::time::Duration;

use apiserver::{Anonymous, ApiServer};
use http_body_util::BodyExt;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    cluster::Cluster,
    requests::{admin, call, send},
};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The code and the text of a health page.
async fn page(server: &ApiServer, path: &str) -> (u16, String) {
    let response = send(server, Some(admin()), "GET", path, Value::Null).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_store_that_can_write_no_more_is_seen_in_health_while_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    let server = &cluster.server;
    assert_eq!(page(server, "/readyz").await.0, 200);
    let watch = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", cluster.store.revision());
    let mut watch = send(server, Some(admin()), "GET", &watch, Value::Null).await.into_body();
    // The log cannot go on in a file whose name is taken by a folder, and cannot put that out of its way.
    for ahead in 0..100 {
        let name = format!("log-{:020}", cluster.store.revision().0 + ahead);
        if !dir.path().join("store").join(&name).exists() {
            std::fs::create_dir(dir.path().join("store").join(name)).unwrap();
        }
    }
    let large = "x".repeat(900_000);
    let mut written = 0;
    let refusal = loop {
        let body = json!({"metadata": {"name": format!("large-{written}")}, "data": {"k": large}});
        let (code, answer) = call(server, "POST", CONFIG_MAPS, body).await;
        if code != 201 {
            break answer;
        }
        written += 1;
        assert!(written < 20, "the log goes on");
    };
    assert!(written > 0);
    assert_eq!((&refusal["code"], &refusal["reason"]), (&json!(503), &json!("ServiceUnavailable")), "{refusal}");
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("restart"), "{message}");

    for path in ["/livez", "/readyz", "/healthz"] {
        let (code, text) = page(server, path).await;
        assert_eq!(code, 500, "{path}: {text}");
        assert!(text.contains("[-]etcd failed: reason withheld\n"), "{path}: {text}");
        assert_eq!(page(server, &format!("{path}?exclude=etcd&exclude=etcd-readiness")).await.0, 200, "{path}");
    }
    assert_eq!(page(server, "/livez/etcd").await.0, 500);
    assert!(!server.is_ready());
    let (code, list) = call(server, "GET", CONFIG_MAPS, Value::Null).await;
    assert_eq!(code, 200);
    let items = list["items"].as_array().unwrap().iter();
    assert_eq!(items.filter(|item| item["metadata"]["name"] != "kube-root-ca.crt").count(), written);
    // The watch has told all that happened, and goes on.
    let mut told = 0;
    while told < written {
        let frame = timeout(Duration::from_secs(60), watch.frame()).await.unwrap().unwrap().unwrap();
        told += frame.into_data().unwrap().iter().filter(|byte| **byte == b'\n').count();
    }
    assert!(timeout(Duration::from_millis(50), watch.frame()).await.is_err(), "the watch ended");
}

/// Processor time of this thread.
fn busy() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[tokio::test(flavor = "current_thread")]
async fn a_store_whose_watches_end_at_once_keeps_nobody_busy() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    cluster.store.close().await;
    assert!(!cluster.server.is_ready());
    let (over, before) = (Duration::from_secs(1), busy());
    tokio::time::sleep(over).await;
    let busy = busy() - before;
    println!("busy for {busy:?} of {over:?}");
    assert!(busy < over / 5, "busy for {busy:?} of {over:?}");
}
