//! Paths, one line each: method, path and what it is.

use super::*;

fn check(method: &Method, path: &str, expect: &str) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let i = RequestInfo::new(method, path, query);
    let text = if i.is_resource {
        let dash = |s: &str| if s.is_empty() { "-".to_owned() } else { s.to_owned() };
        let mut text = format!(
            "{} {} {} {} {} {} {}",
            dash(&i.verb),
            dash(&i.api_group),
            i.api_version,
            dash(&i.namespace),
            i.resource,
            dash(&i.name),
            dash(&i.subresource)
        );
        if let Some(rest) = &i.rest {
            text.push(' ');
            text.push_str(rest);
        }
        text
    } else {
        format!("{} {}", i.verb, i.path)
    };
    assert_eq!(text, expect, "{method} {path}");
}

#[test]
fn resources() {
    check(&Method::GET, "/api/v1/pods", "list - v1 - pods - -");
    check(&Method::GET, "/api/v1/namespaces", "list - v1 - namespaces - -");
    check(&Method::GET, "/api/v1/namespaces/a", "get - v1 a namespaces a -");
    check(&Method::PUT, "/api/v1/namespaces/a/finalize", "update - v1 a namespaces a finalize");
    check(&Method::GET, "/api/v1/namespaces/a/pods?watch=1", "watch - v1 a pods - -");
    check(&Method::GET, "/api/v1/namespaces/a/pods?watch=false", "list - v1 a pods - -");
    check(&Method::GET, "/api/v1/watch/namespaces/a/pods", "watch - v1 a pods - -");
    check(&Method::GET, "/api/v1/watch/namespaces/a/pods/p", "watch - v1 a pods p -");
    check(&Method::POST, "/api/v1/namespaces/a/pods/p/exec?command=x", "create - v1 a pods p exec");
    check(&Method::GET, "/api/v1/namespaces/a/pods/p/proxy/x/y%20z/", "get - v1 a pods p proxy x/y%20z/");
    check(&Method::DELETE, "/apis/apps/v1/namespaces/a/deployments", "deletecollection apps v1 a deployments - -");
    check(&Method::PATCH, "/apis/apps/v1/namespaces/a/deployments/d/scale", "patch apps v1 a deployments d scale");
    check(&Method::GET, "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list - v1 - pods x -");
    check(&Method::OPTIONS, "/api/v1/pods", "- - v1 - pods - -");
}

#[test]
fn everything_else_is_a_path() {
    for path in ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/apis/apps/v1"]
    {
        check(&Method::GET, path, &format!("get {path}"));
    }
    check(&Method::POST, "/version", "post /version");
}
