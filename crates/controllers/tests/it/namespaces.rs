//! What every namespace has, and how one goes.

use api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use client::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::{
    cluster::{Cluster, NODE, comes_to_rest, eventually, stays_quiet},
    meter::Death,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_gets_its_account_and_certificate_and_goes_with_all_it_has() {
    let cluster = Cluster::start().await;
    let running = cluster.controllers(Death::Never);
    cluster.create::<Namespace>("", json!({"metadata": {"name": "team"}})).await;
    eventually("account and certificate", || async {
        let accounts = cluster.list::<ServiceAccount>("team").await;
        let maps = cluster.list::<ConfigMap>("team").await;
        accounts.iter().any(|a| a.metadata.name.as_deref() == Some("default"))
            && maps.iter().any(|m| m.data.as_ref().is_some_and(|d| d.get("ca.crt").is_some_and(|pem| pem == "PEM")))
    })
    .await;
    cluster.api::<ServiceAccount>("team").delete("default", &DeleteParams::default()).await.unwrap();
    eventually("the account is back", || async { !cluster.list::<ServiceAccount>("team").await.is_empty() }).await;
    comes_to_rest(&running).await;
    drop(running);
    let running = cluster.controllers(Death::Never);
    stays_quiet(&running).await;

    cluster.create::<Secret>("team", json!({"metadata": {"name": "s"}})).await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    cluster.create::<ConfigMap>("team", held).await;
    let spec = json!({"nodeName": NODE, "containers": [{"name": "c", "image": "i"}]});
    cluster.create::<Pod>("team", json!({"metadata": {"name": "p"}, "spec": spec})).await;
    cluster.api::<Namespace>("").delete("team", &DeleteParams::default()).await.unwrap();
    eventually("it says what holds it", || async {
        let namespaces = cluster.list::<Namespace>("").await;
        let team = namespaces.iter().find(|n| n.metadata.name.as_deref() == Some("team"));
        let conditions = team.and_then(|n| n.status.as_ref()?.conditions.clone()).unwrap_or_default();
        conditions.iter().any(|c| {
            c.type_ == "NamespaceFinalizersRemaining"
                && c.message.as_deref().is_some_and(|m| m.contains("example.com/hold in 1 resource instances"))
        })
    })
    .await;
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    cluster.api::<ConfigMap>("team").patch("held", &PatchParams::default(), &release).await.unwrap();
    eventually("it is gone", || async {
        cluster.list::<Namespace>("").await.iter().all(|n| n.metadata.name.as_deref() != Some("team"))
    })
    .await;
}
