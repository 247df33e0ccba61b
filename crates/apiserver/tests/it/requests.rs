//! Requests by direct call, as components in the same process make them.

use apimachinery::{Identity, UserInfo};
use apiserver::{Anonymous, ApiServer, Body};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::cluster::Cluster;

pub(crate) fn admin() -> UserInfo {
    UserInfo::new("admin", &["system:masters"])
}

pub(crate) async fn send(
    server: &ApiServer,
    user: Option<UserInfo>,
    method: &str,
    path: &str,
    body: Value,
) -> Response<Body> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut request = Request::builder().method(method).uri(path).body(Full::from(bytes)).unwrap();
    if let Some(user) = user {
        request.extensions_mut().insert(Identity(user));
    }
    server.clone().oneshot(request).await.unwrap()
}

pub(crate) async fn json_of(response: Response<Body>) -> (StatusCode, Value) {
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(crate) async fn call(server: &ApiServer, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    json_of(send(server, Some(admin()), method, path, body).await).await
}

#[tokio::test]
async fn a_watch_brings_changes_and_ends_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    let server = &cluster.server;
    // On a loaded machine a watch may be over before anything happens; a longer one is not.
    for seconds in [1, 5, 60] {
        let (_, list) = call(server, "GET", "/api/v1/namespaces/default/configmaps", Value::Null).await;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap();
        let path =
            format!("/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds={seconds}&resourceVersion={version}");
        let watch = send(server, Some(admin()), "GET", &path, Value::Null).await;
        let name = format!("within-{seconds}");
        let body = json!({"metadata": {"name": name}, "data": {"k": "v"}});
        let (code, _) = call(server, "POST", "/api/v1/namespaces/default/configmaps", body).await;
        assert_eq!(code, 201);
        let events = watch.into_body().collect().await.unwrap().to_bytes();
        if events.is_empty() {
            continue;
        }
        let event: Value = serde_json::from_slice(&events).unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!(name)));
        return;
    }
    panic!("no watch brought what happened while it ran");
}

#[tokio::test]
async fn a_token_lives_as_long_as_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    let server = &cluster.server;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    call(server, "POST", accounts, json!({"metadata": {"name": "s"}})).await;
    let (code, token) = call(server, "POST", &format!("{accounts}/s/token"), json!({"spec": {}})).await;
    assert_eq!(code, 201);
    let review = json!({"spec": {"token": token["status"]["token"]}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, known) = call(server, "POST", reviews, review.clone()).await;
    assert_eq!(known["status"]["user"]["username"], "system:serviceaccount:default:s");
    call(server, "DELETE", &format!("{accounts}/s"), Value::Null).await;
    let (_, unknown) = call(server, "POST", reviews, review).await;
    assert_eq!(unknown["status"].get("authenticated"), None, "{unknown}");
}

#[tokio::test]
async fn a_node_reads_what_its_pods_refer_to() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    let server = &cluster.server;
    let core = "/api/v1/namespaces/default";
    call(server, "POST", &format!("{core}/serviceaccounts"), json!({"metadata": {"name": "default"}})).await;
    for name in ["seen", "unseen"] {
        call(server, "POST", &format!("{core}/secrets"), json!({"metadata": {"name": name}})).await;
    }
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "secret": {"secretName": "seen"}}]}});
    let (code, answer) = call(server, "POST", &format!("{core}/pods"), pod).await;
    assert_eq!(code, 201, "{answer}");
    let node = UserInfo::new("system:node:n", &["system:nodes"]);
    let read = async |name: &str| {
        json_of(send(server, Some(node.clone()), "GET", &format!("{core}/secrets/{name}"), Value::Null).await).await
    };
    // The graph follows the store by a watch.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while read("seen").await.0 != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the node never saw its secret");
        tokio::task::yield_now().await;
    }
    let (code, refusal) = read("unseen").await;
    assert_eq!(code, 403);
    let why = "no relationship found between node 'n' and this object";
    assert!(refusal["message"].as_str().unwrap().ends_with(why), "{refusal}");
}

#[tokio::test]
async fn a_body_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Nothing).await.unwrap();
    let body = json!({"metadata": {"name": "a"}, "data": {"k": "x".repeat(3 * 1024 * 1024)}});
    let (code, refusal) = call(&cluster.server, "POST", "/api/v1/namespaces/default/configmaps", body).await;
    assert_eq!((code.as_u16(), refusal["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    assert_eq!(refusal["message"], "Request entity is too large: limit is 3145728");
}
