//! Probes and hooks that need somebody to answer.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::{Response, body::Frame, header::HeaderMap, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::{Kubectl, Node, Process, eventually};

use super::{namespace, shared, shell_pod};

/// The address of the node, and so of pods on its network.
const NODE_IP: &str = "172.30.0.2";
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

#[track_caller]
fn ready(kubectl: &Kubectl, pod: &str, expect: bool) {
    eventually("its readiness is known", || {
        let seen = kubectl.value(&format!("pod/{pod}"), "{.status.containerStatuses[0].ready}");
        if seen == expect.to_string() { Ok(()) } else { Err(kubectl.ok("get events")) }
    });
}

/// `grpc.health.v1.Health/Check` on a port of the node, answering what `status` says.
fn health_server(node: &Node, status: Arc<AtomicU8>) -> (u16, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = node.inside(|| std::net::TcpListener::bind((NODE_IP, 0)).unwrap());
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = runtime.handle().clone();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let status = status.clone();
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                // Uncompressed, two bytes: the field `status` and its value.
                let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, status.load(Ordering::SeqCst)]);
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let frames = [Frame::data(message), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
                let body = StreamBody::new(futures::stream::iter(frames));
                let answer = Response::builder().header("content-type", "application/grpc").body(body).unwrap();
                async { Ok::<_, Infallible>(answer) }
            });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            handle.spawn(async move { serving.serve_connection(TokioIo::new(socket), service).await.ok() });
        }
    });
    (port, runtime)
}

#[test]
fn grpc_and_https_are_asked() {
    let node = shared();
    let kubectl = namespace(&node, "ask");
    let status = Arc::new(AtomicU8::new(SERVING));
    let (port, runtime) = health_server(&node, status.clone());
    let probe = |name: &str, probe: &str| {
        shell_pod(name, "trap 'exit 0' TERM; while true; do sleep 1; done")
            + &format!(
                "      readinessProbe: {{{probe}, periodSeconds: 1, failureThreshold: 1}}\n  hostNetwork: true\n"
            )
    };
    kubectl.apply(&probe("grpc", &format!("grpc: {{port: {port}}}")));
    ready(&kubectl, "grpc", true);
    status.store(NOT_SERVING, Ordering::SeqCst);
    ready(&kubectl, "grpc", false);
    kubectl.until_says("get events", "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")");
    runtime.shutdown_timeout(Duration::from_secs(5));

    // A certificate nobody vouches for will do.
    let at = |name: &str| node.folder().join(name).display().to_string();
    let (key, certificate) = (at("key.pem"), at("cert.pem"));
    let words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=nobody"];
    node.run(&[&words[..], &["-keyout", &key, "-out", &certificate]].concat()).ok();
    let address = format!("{NODE_IP}:8443");
    let mut command = node.enter("openssl");
    command.args(["s_server", "-www", "-quiet", "-accept", &address, "-key", &key, "-cert", &certificate]);
    let server = Process::start(command, &node.folder().join("s_server.log"));
    let get = |scheme: &str| format!("httpGet: {{host: {NODE_IP}, port: 8443, scheme: {scheme}, path: /}}");
    kubectl.apply(&probe("https", &get("HTTPS")));
    kubectl.apply(&probe("plain", &get("HTTP")));
    ready(&kubectl, "https", true);
    ready(&kubectl, "plain", false);
    drop(server);
    ready(&kubectl, "https", false);
    kubectl.until_says("get events", "Readiness probe failed: Get \"https://172.30.0.2:8443/\": dial tcp");
    kubectl.ok("delete pod --all --timeout=120s");
}

#[test]
fn a_hook_that_fails_ends_its_container() {
    let node = shared();
    let kubectl = namespace(&node, "hook");
    // Not before the container can be told to end.
    let wait = "until test -e /tmp/begun; do sleep 0.1; done";
    let hook =
        format!("      lifecycle: {{postStart: {{exec: {{command: [sh, -c, \"{wait}; echo no; exit 4\"]}}}}}}\n");
    let script = "trap 'exit 0' TERM; touch /tmp/begun; while true; do sleep 1; done";
    kubectl.apply(&(shell_pod("hooked", script) + &hook));
    eventually("the status says why", || {
        let path = "{.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].lastState.terminated.exitCode}";
        let seen = kubectl.value("pod/hooked", path);
        let known = ["PostStartHookError 0", "CrashLoopBackOff 0"].contains(&seen.as_str());
        if known { Ok(()) } else { Err(seen) }
    });
    kubectl.until("get events -o custom-columns=R:.reason", |seen| {
        ["Started", "FailedPostStartHook", "Killing"].iter().all(|reason| seen.lines().any(|line| line == *reason))
    });
    kubectl.ok("delete pod hooked --timeout=120s");
}
