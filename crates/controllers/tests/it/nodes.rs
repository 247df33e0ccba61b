//! Nodes that fall silent and nodes that go.

use api::core::v1::{Node, Pod};
use client::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, NODE, eventually},
    meter::Death,
};

async fn set_ready(cluster: &Cluster, node: &str, ready: &str) {
    let conditions = json!([{"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
    let patch = Patch::Strategic(json!({"status": {"conditions": conditions}}));
    cluster.api::<Node>("").patch_status(node, &PatchParams::default(), &patch).await.unwrap();
}

fn pod(name: &str, tolerations: Value) -> Value {
    let containers = json!([{"name": "c", "image": "i"}]);
    json!({"metadata": {"name": name},
           "spec": {"nodeName": NODE, "containers": containers, "tolerations": tolerations}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_ready_is_tainted_and_its_pods_leave() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    cluster.create::<Node>("", json!({"metadata": {"name": "node-2"}})).await;
    eventually("accounts", || async { !cluster.list::<api::core::v1::ServiceAccount>("default").await.is_empty() })
        .await;
    for node in [NODE, "node-2"] {
        set_ready(&cluster, node, "True").await;
    }
    let at_once = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                          "tolerationSeconds": 0}]);
    cluster.create::<Pod>("default", pod("leaves", at_once)).await;
    cluster.create::<Pod>("default", pod("stays", json!([{"operator": "Exists"}]))).await;
    set_ready(&cluster, NODE, "False").await;
    eventually("tainted, one pod gone, the other not ready", || async {
        let nodes = cluster.list::<Node>("").await;
        let node = nodes.iter().find(|n| n.metadata.name.as_deref() == Some(NODE)).unwrap();
        let taints = node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
        let effects: Vec<_> =
            taints.iter().filter(|t| t.key == "node.kubernetes.io/not-ready").map(|t| t.effect.as_str()).collect();
        let pods = cluster.list::<Pod>("default").await;
        effects == ["NoSchedule", "NoExecute"]
            && pods.len() == 1
            && pods[0].metadata.name.as_deref() == Some("stays")
            && !api::conditions::is_pod_ready(&pods[0])
    })
    .await;
    set_ready(&cluster, NODE, "True").await;
    eventually("no taints", || async {
        let nodes = cluster.list::<Node>("").await;
        nodes.iter().all(|node| node.spec.as_ref().is_none_or(|s| s.taints.is_none()))
    })
    .await;
}
