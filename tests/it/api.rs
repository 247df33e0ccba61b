//! kubectl against `knarr apiserver` alone: nothing acts on what is written.

mod backup;
pub(crate) mod certificate;
mod change;
mod delete;
mod discover;
pub(crate) mod faults;
mod read;
mod refuse;
mod stalled;
mod survive;
mod workload;

use std::sync::{Mutex, OnceLock, Weak};

use testkit::{ApiServer, Kubectl};

/// One server for all tests that only use namespaces of their own. It ends with the test that lets go of it last.
fn shared() -> std::sync::Arc<ApiServer> {
    static SERVER: OnceLock<Mutex<Weak<ApiServer>>> = OnceLock::new();
    let mut shared = SERVER.get_or_init(Mutex::default).lock().unwrap_or_else(|broken| broken.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let server = std::sync::Arc::new(ApiServer::start());
        *shared = std::sync::Arc::downgrade(&server);
        server
    })
}

/// Runs a test with every kubectl, each in a namespace of its own that has a service account, as the controllers
/// would give it one.
fn with_every_kubectl(topic: &str, test: impl Fn(&Kubectl)) {
    let server = shared();
    for kubectl in server.kubectls() {
        println!("kubectl {}", kubectl.version);
        let namespace = format!("{topic}-{}", kubectl.version.replace(['.', ' '], "-").to_lowercase());
        kubectl.ok(&format!("create namespace {namespace}"));
        let kubectl = kubectl.in_namespace(&namespace);
        kubectl.ok("create serviceaccount default");
        test(&kubectl);
    }
}

/// A ConfigMap with a label and one entry.
fn config_map(name: &str, app: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels: {{app: {app:?}}}\ndata:\n  key: {value:?}\n---\n"
    )
}

/// A Deployment of one container.
fn deployment(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: main
          image: {image}
          ports: [{{containerPort: 8080}}]
---
"
    )
}
