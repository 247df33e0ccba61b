//! Slices of endpoints that users keep themselves, and roles made of other roles.

use api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
    rbac::v1::ClusterRole,
};
use client::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::{
    cluster::{Cluster, comes_to_rest, eventually, stays_quiet},
    meter::Death,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_of_users_are_mirrored() {
    let cluster = Cluster::start().await;
    let running = cluster.controllers(Death::Never);
    cluster
        .create::<Service>("default", json!({"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 80}]}}))
        .await;
    let endpoints = json!({"metadata": {"name": "outside"}, "subsets": [
        {"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 80}]}]});
    cluster.create::<Endpoints>("default", endpoints).await;
    let mirrored = || async {
        let slices = cluster.list::<EndpointSlice>("default").await;
        let ours = slices.into_iter().filter(|slice| {
            let labels = slice.metadata.labels.clone().unwrap_or_default();
            labels.get("kubernetes.io/service-name").is_some_and(|name| name == "outside")
        });
        ours.flat_map(|slice| slice.endpoints.unwrap_or_default()).flat_map(|e| e.addresses).collect::<Vec<_>>()
    };
    eventually("a slice", || async { mirrored().await == ["192.0.2.7"] }).await;
    let change = Patch::Merge(json!({"subsets": [{"addresses": [{"ip": "192.0.2.8"}], "ports": [{"port": 80}]}]}));
    cluster.api::<Endpoints>("default").patch("outside", &PatchParams::default(), &change).await.unwrap();
    eventually("the change", || async { mirrored().await == ["192.0.2.8"] }).await;
    comes_to_rest(&running).await;
    drop(running);
    let running = cluster.controllers(Death::Never);
    stays_quiet(&running).await;
    cluster.api::<Service>("default").delete("outside", &DeleteParams::default()).await.unwrap();
    eventually("no slice", || async { mirrored().await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregated_roles_follow_their_parts() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    let selector = json!({"clusterRoleSelectors": [{"matchLabels": {"part-of": "sum"}}]});
    cluster.create::<ClusterRole>("", json!({"metadata": {"name": "sum"}, "aggregationRule": selector})).await;
    let part = |name: &str, verb: &str| {
        json!({"metadata": {"name": name, "labels": {"part-of": "sum"}},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]})
    };
    cluster.create::<ClusterRole>("", part("part-b", "list")).await;
    cluster.create::<ClusterRole>("", part("part-a", "get")).await;
    let verbs = || async {
        let roles = cluster.list::<ClusterRole>("").await;
        let sum = roles.into_iter().find(|role| role.metadata.name.as_deref() == Some("sum"));
        sum.and_then(|role| role.rules).unwrap_or_default().into_iter().flat_map(|rule| rule.verbs).collect::<Vec<_>>()
    };
    eventually("both parts", || async { verbs().await == ["get", "list"] }).await;
    cluster.api::<ClusterRole>("").delete("part-a", &DeleteParams::default()).await.unwrap();
    eventually("one part", || async { verbs().await == ["list"] }).await;
}
