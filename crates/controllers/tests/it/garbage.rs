//! Cascading deletion.

use api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Pod},
};
use client::{DeleteParams, PropagationPolicy};
use serde_json::json;

use crate::{
    cluster::{Cluster, NODE, eventually},
    meter::Death,
};

async fn deploy(cluster: &Cluster) {
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": "v1"}]},
            },
        },
    });
    cluster.create::<Deployment>("default", deployment).await;
    eventually("two pods", || async { cluster.list::<Pod>("default").await.len() == 2 }).await;
}

async fn delete(cluster: &Cluster, policy: PropagationPolicy) {
    let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    cluster.api::<Deployment>("default").delete("web", &params).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_and_in_the_foreground_all_goes() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    for policy in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        deploy(&cluster).await;
        delete(&cluster, policy).await;
        eventually("nothing is left", || async {
            cluster.list::<Deployment>("default").await.is_empty()
                && cluster.list::<ReplicaSet>("default").await.is_empty()
                && cluster.list::<Pod>("default").await.is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_stay_and_are_adopted_again() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    deploy(&cluster).await;
    let set = cluster.list::<ReplicaSet>("default").await.remove(0).metadata;
    delete(&cluster, PropagationPolicy::Orphan).await;
    eventually("the set has no owner", || async {
        let sets = cluster.list::<ReplicaSet>("default").await;
        cluster.list::<Deployment>("default").await.is_empty()
            && sets.iter().all(|set| set.metadata.owner_references.is_none())
    })
    .await;
    deploy(&cluster).await;
    eventually("the same set is owned again", || async {
        let sets = cluster.list::<ReplicaSet>("default").await;
        sets.len() == 1 && sets[0].metadata.uid == set.uid && api::controller_of(&sets[0].metadata).is_some()
    })
    .await;
    assert_eq!(cluster.list::<Pod>("default").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_never_was_is_gone_and_one_of_two_is_dropped() {
    let cluster = Cluster::start().await;
    let _running = cluster.controllers(Death::Never);
    cluster.create::<ConfigMap>("default", json!({"metadata": {"name": "owner"}})).await;
    let owners = cluster.list::<ConfigMap>("default").await;
    let uid = owners.iter().find(|c| c.metadata.name.as_deref() == Some("owner")).unwrap().metadata.uid.clone();
    let reference = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
    let ghost = reference("ghost", "00000000-0000-0000-0000-000000000000");
    let live = reference("owner", &uid.unwrap());
    for (name, owners) in [("lost", json!([ghost])), ("kept", json!([ghost, live]))] {
        let metadata = json!({"name": name, "ownerReferences": owners});
        cluster.create::<ConfigMap>("default", json!({"metadata": metadata})).await;
    }
    eventually("one is gone and one has one owner", || async {
        let maps = cluster.list::<ConfigMap>("default").await;
        let find = |name: &str| maps.iter().find(|c| c.metadata.name.as_deref() == Some(name));
        find("lost").is_none()
            && find("kept").is_some_and(|c| c.metadata.owner_references.as_ref().map(Vec::len) == Some(1))
    })
    .await;
}
