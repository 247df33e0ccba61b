//! The scheduler against an API server in this process, with its own rights: a full node is cleared for a pod of
//! higher priority, and everybody is told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use api::{
    core::v1::{Node, Pod},
    events::v1::Event,
};
use apimachinery::UserInfo;
use client::{Api, ListParams, Patch, PatchParams, PostParams, Resource};
use controller_runtime::Tasks;
use serde_json::{Value, json};
use testserver::TestServer;

fn pod(name: &str, class: Option<&str>) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
        {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1500m"}}}]}});
    if let Some(class) = class {
        pod["spec"]["priorityClassName"] = class.into();
    }
    pod
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..2400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come about");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_is_cleared_for_the_more_important() {
    let (server, tasks) = (TestServer::start().await, Tasks::new());
    let admin = server.admin();
    let nodes: Api<Node> = Api::all(admin.kube());
    create(&nodes, json!({"metadata": {"name": "n"}})).await;
    let status = json!({"status": {"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "10"}}});
    nodes.patch_status("n", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    // Admission taints every new node as not ready.
    let ready = json!({"spec": {"taints": null}});
    nodes.patch("n", &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
    let class = json!({"metadata": {"name": "high"}, "value": 1000});
    create::<api::scheduling::v1::PriorityClass>(&Api::all(admin.kube()), class).await;
    let account = json!({"metadata": {"name": "default"}});
    create(&admin.namespaced::<api::core::v1::ServiceAccount>("default"), account).await;
    let pods = admin.namespaced::<Pod>("default");
    let rights = UserInfo::new("system:kube-scheduler", &["system:authenticated"]);
    scheduler::Scheduler::start(server.client(rights), "host", &tasks);

    // A finalizer shows what is told to the victim before it goes.
    let mut victim = pod("victim", None);
    victim["metadata"]["finalizers"] = json!(["example.com/wait"]);
    create(&pods, victim).await;
    let bound = async |name: &str| pods.get(name).await.unwrap().spec.unwrap().node_name;
    eventually("the first binding", async || bound("victim").await).await;

    create(&pods, pod("heir", Some("high"))).await;
    let heir = eventually("the nomination", async || {
        let heir = pods.get("heir").await.unwrap();
        heir.status.as_ref()?.nominated_node_name.as_deref().is_some_and(|n| n == "n").then_some(heir)
    })
    .await;
    let scheduled = heir.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "PodScheduled").unwrap();
    assert_eq!(scheduled.message.unwrap(), "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(scheduled.observed_generation, Some(1));
    let victim = pods.get("victim").await.unwrap();
    assert!(victim.metadata.deletion_timestamp.is_some());
    let told = victim.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "DisruptionTarget").unwrap();
    assert_eq!(told.reason.unwrap(), "PreemptionByScheduler");
    assert_eq!(told.message.unwrap(), "default-scheduler: preempting to accommodate a higher priority pod");

    let go = json!({"metadata": {"finalizers": null}});
    pods.patch("victim", &PatchParams::default(), &Patch::Merge(go)).await.unwrap();
    eventually("the second binding", async || bound("heir").await).await;
    let heir = pods.get("heir").await.unwrap();
    assert_eq!(heir.status.unwrap().nominated_node_name, None, "binding keeps the promise");
    let events = admin.namespaced::<Event>("default");
    let event = eventually("the event", async || {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        all.into_iter().find(|e| e.reason.as_deref() == Some("Preempted"))
    })
    .await;
    assert_eq!(event.note.unwrap(), format!("Preempted by pod {} on node n", heir.metadata.uid.unwrap()));
    assert_eq!(event.regarding.unwrap().name.unwrap(), "victim");
    assert_eq!(event.related.unwrap().name.unwrap(), "heir");
    tasks.cancel();
}
