//! Nothing is open by accident: every route, from the tables, without credentials and with powerless ones.

use apimachinery::UserInfo;
use apiserver::{Anonymous, ROUTES};
use serde_json::Value;

use crate::{
    cluster::Cluster,
    requests::{admin, json_of, send},
};

const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// Method and path of every verb of every resource, read from discovery.
async fn resource_routes(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let read = async |path: &str| json_of(send(&cluster.server, Some(admin()), "GET", path, Value::Null).await).await.1;
    let mut roots = vec!["/api/v1".to_owned()];
    for group in read("/apis").await["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            roots.push(format!("/apis/{}", version["groupVersion"].as_str().unwrap()));
        }
    }
    let mut routes = Vec::new();
    for root in roots {
        for resource in read(&root).await["resources"].as_array().unwrap() {
            let (main, sub) =
                resource["name"].as_str().unwrap().split_once('/').unwrap_or((resource["name"].as_str().unwrap(), ""));
            let base = if resource["namespaced"] == true {
                format!("{root}/namespaces/n/{main}")
            } else {
                format!("{root}/{main}")
            };
            let item = if sub.is_empty() { format!("{base}/x") } else { format!("{base}/x/{sub}") };
            for verb in resource["verbs"].as_array().unwrap() {
                routes.push(match verb.as_str().unwrap() {
                    "get" => ("GET", item.clone()),
                    "list" => ("GET", base.clone()),
                    "watch" => ("GET", format!("{base}?watch=1")),
                    "create" if sub.is_empty() => ("POST", base.clone()),
                    "create" => ("POST", item.clone()),
                    "update" => ("PUT", item.clone()),
                    "patch" => ("PATCH", item.clone()),
                    "delete" => ("DELETE", item.clone()),
                    "deletecollection" => ("DELETE", base.clone()),
                    other => panic!("unknown verb {other}"),
                });
            }
        }
    }
    routes
}

#[tokio::test]
async fn every_route_asks_who_and_whether() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::HealthAndVersion).await.unwrap();
    let mut routes = resource_routes(&cluster).await;
    assert!(routes.len() > 150, "{}", routes.len());
    routes.extend(ROUTES.iter().filter(|r| !OPEN.contains(&r.path)).map(|r| ("GET", r.path.to_owned())));
    routes.extend(["/api/v1", "/apis/apps", "/apis/apps/v1", "/nosuch"].map(|path| ("GET", path.to_owned())));
    // Not even one of the groups everybody is in.
    let powerless = UserInfo { username: "nobody".to_owned(), ..UserInfo::default() };
    for (method, path) in &routes {
        let unknown = send(&cluster.server, None, method, path, Value::Null).await;
        assert_eq!(unknown.status(), 401, "{method} {path} without credentials");
        let refused = send(&cluster.server, Some(powerless.clone()), method, path, Value::Null).await;
        assert_eq!(refused.status(), 403, "{method} {path} with a powerless identity");
    }
    for path in OPEN {
        assert_eq!(send(&cluster.server, None, "GET", path, Value::Null).await.status(), 200, "{path}");
    }
}
