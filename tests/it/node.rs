//! Whole clusters of one node: `knarr server`, real containers, real packets, unmodified kubectl.

mod certificate;
mod crash;
mod debug;
mod end;
mod full_disk;
mod heal;
mod host_port;
mod limits;
mod pod;
mod probe;
mod readiness;
mod registry;
mod rollout;
mod security;
mod service;
mod stalled;
mod volume;

use std::sync::{Arc, Mutex, OnceLock, Weak};

use testkit::{Kubectl, Node};

/// One node for all tests that only use namespaces of their own. It ends with the test that lets go of it last.
fn shared() -> Arc<Node> {
    static NODE: OnceLock<Mutex<Weak<Node>>> = OnceLock::new();
    let mut shared = NODE.get_or_init(Mutex::default).lock().unwrap_or_else(|broken| broken.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let node = Arc::new(Node::start());
        *shared = Arc::downgrade(&node);
        node
    })
}

/// A new namespace whose service account is there.
fn namespace(node: &Node, name: &str) -> Kubectl {
    let kubectl = node.kubectl();
    kubectl.ok(&format!("create namespace {name}"));
    let kubectl = kubectl.in_namespace(name);
    testkit::eventually("the service account is there", || {
        let answer = kubectl.run(["get", "serviceaccount", "default"]);
        if answer.is_success() { Ok(()) } else { Err(answer) }
    });
    kubectl
}

/// The example with another node port, and none on the machine's own.
fn hello(node_port: u16) -> String {
    let manifest = std::fs::read_to_string(testkit::examples().join("hello.yaml")).unwrap();
    assert!(manifest.contains("nodePort: 30080"));
    manifest.replace("nodePort: 30080", &format!("nodePort: {node_port}"))
}

/// Applies the example and waits until it is rolled out and its Service answers: the packet rules follow the endpoints,
/// and may come after the Deployment says that all is well.
#[track_caller]
fn run_hello(node: &Node, kubectl: &Kubectl, node_port: u16) {
    run(node, kubectl, &hello(node_port), node_port);
}

/// The same with a changed example.
#[track_caller]
fn run(node: &Node, kubectl: &Kubectl, hello: &str, node_port: u16) {
    kubectl.apply(hello);
    let status = kubectl.run(["rollout", "status", "deploy/hello", "--timeout=120s"]);
    let seen = || kubectl.ok("get pods -o wide") + &kubectl.ok("get events");
    assert!(status.is_success(), "{status}\n{}", seen());
    testkit::eventually("the Service answers", || node.get(&format!("127.0.0.1:{node_port}")));
}

/// A pod that runs a shell script in busybox.
fn shell_pod(name: &str, script: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  terminationGracePeriodSeconds: 3
  containers:
    - name: main
      image: localhost/hello:1
      command: [sh, -c, {script:?}]
"
    )
}
