//! Deployments, replica sets, endpoints and slices together.

use api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Endpoints, Pod, Service},
    discovery::v1::EndpointSlice,
};
use client::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, NODE, Running, comes_to_rest, eventually, stays_quiet},
    meter::Death,
};

fn deployment(replicas: i32, image: &str) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": image}]},
            },
        },
    })
}

fn service() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

async fn patch(cluster: &Cluster, spec: Value) {
    let patch = Patch::Strategic(json!({"spec": spec}));
    cluster.api::<Deployment>("default").patch("web", &PatchParams::default(), &patch).await.unwrap();
}

fn image(image: &str) -> Value {
    json!({"template": {"spec": {"containers": [{"name": "c", "image": image}]}}})
}

/// What a person would check: complete, with exactly these pods, all of them behind the service.
async fn is_complete(cluster: &Cluster, replicas: usize, revision: &str) -> bool {
    let deployments: Vec<Deployment> = cluster.list("default").await;
    let Some(status) = deployments[0].status.clone() else { return false };
    let counted = status.available_replicas == Some(replicas as i32)
        && status.updated_replicas == Some(replicas as i32)
        && status.replicas == Some(replicas as i32)
        && status.observed_generation == deployments[0].metadata.generation;
    let annotations = deployments[0].metadata.annotations.clone().unwrap_or_default();
    let at_revision = annotations.get("deployment.kubernetes.io/revision").is_some_and(|r| r == revision);
    let pods: Vec<Pod> = cluster.list("default").await;
    let slices: Vec<EndpointSlice> = cluster.list("default").await;
    let of_web = |slice: &&EndpointSlice| slice.metadata.name.as_ref().unwrap().starts_with("web-");
    let ready: usize = slices
        .iter()
        .filter(of_web)
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|c| c.ready == Some(true)))
        .count();
    let endpoints: Vec<Endpoints> = cluster.list("default").await;
    let addresses: usize = endpoints
        .iter()
        .filter(|e| e.metadata.name.as_deref() == Some("web"))
        .flat_map(|e| e.subsets.iter().flatten())
        .map(|subset| subset.addresses.as_ref().map_or(0, Vec::len))
        .sum();
    let progressing = status.conditions.iter().flatten().find(|c| c.type_.as_deref() == Some("Progressing"));
    let complete = progressing.is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    counted && at_revision && complete && pods.len() == replicas && ready == replicas && addresses == replicas
}

async fn complete(cluster: &Cluster, replicas: usize, revision: &str) {
    eventually(&format!("{replicas} pods of revision {revision} behind the service"), || {
        is_complete(cluster, replicas, revision)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_comes_up_rolls_and_rolls_back_and_then_rests() {
    let cluster = Cluster::start().await;
    let running = cluster.controllers(Death::Never);
    cluster.create::<Service>("default", service()).await;
    cluster.create::<Deployment>("default", deployment(3, "v1")).await;
    complete(&cluster, 3, "1").await;
    patch(&cluster, image("v2")).await;
    complete(&cluster, 3, "2").await;
    patch(&cluster, image("v1")).await;
    complete(&cluster, 3, "3").await;
    patch(&cluster, json!({"replicas": 5})).await;
    complete(&cluster, 5, "3").await;
    comes_to_rest(&running).await;
    drop(running);
    let again = cluster.controllers(Death::Never);
    stays_quiet(&again).await;
    for set in cluster.list::<ReplicaSet>("default").await {
        assert!(api::controller_of(&set.metadata).is_some_and(|o| o.kind == "Deployment"));
    }
    for pod in cluster.list::<Pod>("default").await {
        assert!(api::controller_of(&pod.metadata).is_some_and(|o| o.kind == "ReplicaSet"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_image_leaves_the_old_pods_serving() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    cluster.create::<Service>("default", service()).await;
    cluster.create::<Deployment>("default", deployment(4, "v1")).await;
    complete(&cluster, 4, "1").await;
    patch(&cluster, image("bad")).await;
    eventually("the rollout stops", || async {
        let status = cluster.list::<Deployment>("default").await.remove(0).status.unwrap();
        // A quarter may be missing and a quarter too many.
        status.updated_replicas == Some(2) && status.available_replicas == Some(3)
    })
    .await;
    patch(&cluster, image("v1")).await;
    complete(&cluster, 4, "3").await;
}

/// Clusters that live and die side by side.
const KILLS_AT_ONCE: usize = 3;

/// Brings a deployment up, rolls it and scales it, with controllers that die at a write and are started again. None
/// if they finished before that write.
async fn survive(death: Death) -> Option<()> {
    let cluster = Cluster::start().await;
    cluster.create::<Service>("default", service()).await;
    cluster.create::<Deployment>("default", deployment(2, "v1")).await;
    let first = cluster.controllers(death);
    let died = died_before_complete(&cluster, &first).await;
    drop(first);
    let _second = cluster.controllers(Death::Never);
    complete(&cluster, 2, "1").await;
    assert_eq!(cluster.list::<ReplicaSet>("default").await.len(), 1, "{death:?}");
    patch(&cluster, image("v2")).await;
    complete(&cluster, 2, "2").await;
    died.then_some(())
}

async fn died_before_complete(cluster: &Cluster, running: &Running) -> bool {
    tokio::select! {
        () = running.meter.dead.cancelled() => true,
        () = complete(cluster, 2, "1") => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_write_they_converge_to_the_same() {
    let (mut kills, mut number) = (0, 0);
    loop {
        let batch = (number..number + KILLS_AT_ONCE).flat_map(|n| [Death::Before(n), Death::After(n)]);
        let died = futures::future::join_all(batch.map(survive)).await.into_iter().flatten().count();
        kills += died;
        number += KILLS_AT_ONCE;
        if died == 0 {
            break;
        }
    }
    assert!(kills >= 10, "only {kills} writes were made");
}
