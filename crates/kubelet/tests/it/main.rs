//! The kubelet against an API server in this process and a container runtime in memory. Needs root, as a node does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake_runtime;

use std::{sync::Arc, time::Duration};

use api::core::v1::{Node, Pod, ServiceAccount};
use apimachinery::UserInfo;
use client::{Client, DeleteParams, PostParams};
use controller_runtime::Tasks;
use fake_runtime::FakeRuntime;
use kubelet::{Kubelet, KubeletConfig};
use serde_json::{Value, json};
use testserver::TestServer;

const NODE: &str = "node-1";
const DEADLINE: Duration = Duration::from_secs(90);

struct Cluster {
    server: TestServer,
    admin: Client,
    runtime: FakeRuntime,
    cgroup: String,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let root = self.cgroup.trim_start_matches('/');
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|e| e.path());
        hierarchies.chain(["/sys/fs/cgroup".into()]).for_each(|top| remove_groups(&top.join(root)));
    }
}

/// Removes a cgroup and those below; most hierarchies of the first version have none.
fn remove_groups(path: &std::path::Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            remove_groups(&entry.path());
        }
    }
    std::fs::remove_dir(path).ok();
}

impl Cluster {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let admin = server.admin();
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        admin.namespaced::<ServiceAccount>("default").create(&PostParams::default(), &account).await.unwrap();
        let cgroup = format!("/knarr-kubelet-test-{}-{:?}", std::process::id(), std::thread::current().id());
        let cgroup = cgroup.replace(['(', ')'], "");
        Self { server, admin, runtime: FakeRuntime::new(), cgroup }
    }

    async fn kubelet(&self) -> Tasks {
        let tasks = Tasks::new();
        let user = UserInfo::new(format!("system:node:{NODE}"), &["system:nodes", "system:authenticated"]);
        let client = self.server.client(user);
        let mut config = KubeletConfig::new(NODE, self.server.folder().join("kubelet"), vec![[127, 0, 0, 1].into()]);
        config.log_dir = self.server.folder().join("logs");
        config.cgroup_root = self.cgroup.clone();
        // However full the machine's disk is.
        config.housekeeping.eviction_hard.clear();
        config.housekeeping.image_gc.high_percent = 100;
        let runtime = Arc::new(self.runtime.clone());
        let handle = Kubelet::start(config, client, runtime.clone(), runtime, &tasks).await.unwrap();
        tokio::time::timeout(DEADLINE, handle.ready()).await.unwrap();
        tasks
    }

    async fn create(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = json!(NODE);
        spec["automountServiceAccountToken"] = json!(false);
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        self.admin.namespaced::<Pod>("default").create(&PostParams::default(), &pod).await.unwrap();
    }

    async fn wait(&self, name: &str, what: &str, met: impl Fn(Option<&Value>) -> bool) {
        let api = self.admin.namespaced::<Pod>("default");
        let mut last = Value::Null;
        let look = async {
            loop {
                let pod = api.get_opt(name).await.unwrap().map(|p| serde_json::to_value(p).unwrap());
                if met(pod.as_ref()) {
                    return;
                }
                last = pod.unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, look).await.is_ok(), "{what}: {}", last["status"]);
    }
}

fn at<'a>(pod: Option<&'a Value>, pointer: &str) -> &'a Value {
    pod.and_then(|p| p.pointer(pointer)).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_survives_a_restart_of_the_kubelet_and_goes() {
    let cluster = Cluster::start().await;
    let first = cluster.kubelet().await;
    let node = cluster.admin.all::<Node>().get(NODE).await.unwrap();
    assert!(api::conditions::is_node_ready(&node));
    cluster.create("p", json!({"containers": [{"name": "c", "image": "x:1"}]})).await;
    let running = |pod: Option<&Value>| {
        at(pod, "/status/phase") == "Running" && at(pod, "/status/containerStatuses/0/ready") == true
    };
    cluster.wait("p", "runs", running).await;
    assert_eq!(cluster.runtime.containers(), ["c:0:1"]);

    assert!(first.stop(DEADLINE).await);
    let before = cluster.admin.namespaced::<Pod>("default").get("p").await.unwrap();
    let second = cluster.kubelet().await;
    cluster.create("q", json!({"containers": [{"name": "d", "image": "x:1"}]})).await;
    cluster.wait("q", "runs", running).await;
    assert_eq!(cluster.runtime.containers(), ["c:0:1", "d:0:1"]);
    let after = cluster.admin.namespaced::<Pod>("default").get("p").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "a restart writes nothing");

    cluster.admin.namespaced::<Pod>("default").delete("p", &DeleteParams::default()).await.unwrap();
    cluster.admin.namespaced::<Pod>("default").delete("q", &DeleteParams::default()).await.unwrap();
    cluster.wait("p", "is gone", |pod| pod.is_none()).await;
    cluster.wait("q", "is gone", |pod| pod.is_none()).await;
    let cleared = async {
        while cluster.runtime.sandboxes() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, cleared).await.is_ok(), "sandboxes are removed");
    second.stop(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_start_again_and_back_off() {
    let cluster = Cluster::start().await;
    let tasks = cluster.kubelet().await;
    cluster.create("p", json!({"containers": [{"name": "c", "image": "x:1"}]})).await;
    // Counted when it is made, and started after that.
    let runs_again = |pod: Option<&Value>| {
        at(pod, "/status/containerStatuses/0/restartCount") == 1
            && at(pod, "/status/containerStatuses/0/state/running").is_object()
    };
    cluster.wait("p", "runs", |pod| at(pod, "/status/phase") == "Running").await;
    cluster.runtime.exit("c", 3);
    cluster.wait("p", "starts again at once", runs_again).await;
    cluster.runtime.exit("c", 3);
    let waits = |pod: Option<&Value>| {
        at(pod, "/status/containerStatuses/0/state/waiting/reason") == "CrashLoopBackOff"
            && at(pod, "/status/containerStatuses/0/lastState/terminated/exitCode") == 3
    };
    cluster.wait("p", "backs off", waits).await;
    cluster.create("once", json!({"restartPolicy": "Never", "containers": [{"name": "o", "image": "x:1"}]})).await;
    cluster.wait("once", "runs", |pod| at(pod, "/status/phase") == "Running").await;
    cluster.runtime.exit("o", 1);
    cluster.wait("once", "fails", |pod| at(pod, "/status/phase") == "Failed").await;
    tasks.stop(DEADLINE).await;
}
