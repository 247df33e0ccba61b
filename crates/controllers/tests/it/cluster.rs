//! An API server in this process, controllers, and a node played by the test.

use std::{
    future::Future,
    sync::{Arc, Once},
    time::Duration,
};

use api::core::v1::{Node, Pod};
use apimachinery::UserInfo;
use client::{Client, ListParams, Patch, PatchParams, PostParams, Resource};
use controller_runtime::{Informers, Task, Tasks};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testserver::TestServer;

use crate::meter::{Death, Meter, Metered};

pub(crate) const NODE: &str = "node-1";
const DEADLINE: Duration = Duration::from_secs(120);
/// Looks without a write, one every [`LOOK_EVERY`], after which nothing is taken to be on its way.
const QUIET_LOOKS: usize = 40;
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    server: TestServer,
    tasks: Tasks,
    pub(crate) admin: Client,
}

/// Controllers that run until dropped or killed.
pub(crate) struct Running {
    pub(crate) meter: Arc<Meter>,
    tasks: Tasks,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

static LOGS: Once = Once::new();

impl Cluster {
    pub(crate) async fn start() -> Self {
        LOGS.call_once(|| {
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
        });
        let server = TestServer::start().await;
        let meter = Meter::new(Death::Never);
        let admin = Client::in_process(
            Metered { server: server.server(), meter },
            UserInfo::new("kubernetes-admin", &["system:masters"]),
        );
        let cluster = Self { server, tasks: Tasks::new(), admin };
        cluster.create::<Node>("", json!({"metadata": {"name": NODE}})).await;
        cluster.play_kubelet();
        cluster
    }

    /// Starts every controller.
    pub(crate) fn controllers(&self, death: Death) -> Running {
        let meter = Meter::new(death);
        let tasks = Tasks::new();
        let clients =
            |user: UserInfo| Client::in_process(Metered { server: self.server.server(), meter: meter.clone() }, user);
        let config = controllers::Config {
            root_ca_pem: "PEM".to_owned(),
            workers: 2,
            node_monitor_grace: controllers::NODE_MONITOR_GRACE,
            signers: None,
            subnets: None,
        };
        controllers::start(clients, &tasks, config);
        Running { meter, tasks }
    }

    pub(crate) async fn create<K: Resource<DynamicType = ()>>(&self, namespace: &str, object: Value) {
        let object = serde_json::from_value(object).unwrap();
        self.api::<K>(namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    pub(crate) async fn list<K>(&self, namespace: &str) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let found = self.api::<K>(namespace).list(&ListParams::default()).await.unwrap();
        found
            .items
            .into_iter()
            .map(|item| serde_json::from_value(serde_json::to_value(item).unwrap()).unwrap())
            .collect()
    }

    /// Objects of a namespace or, with an empty one, of the cluster.
    pub(crate) fn api<K: Resource<DynamicType = ()>>(&self, namespace: &str) -> client::Api<client::DynamicObject> {
        let resource = client::ApiResource::erase::<K>(&());
        if namespace.is_empty() {
            client::Api::all_with(self.admin.kube(), &resource)
        } else {
            client::Api::namespaced_with(self.admin.kube(), namespace, &resource)
        }
    }

    /// Pods run and become ready as soon as they are made, unless their image is `bad`, and go when they are deleted.
    fn play_kubelet(&self) -> Task {
        let informers = Informers::new(self.admin.clone(), self.tasks.clone());
        let pods = informers.watch::<Pod>();
        let admin = self.admin.clone();
        self.tasks.spawn("kubelet", async move {
            let mut changes = pods.subscribe();
            let mut last = 0;
            loop {
                let change = changes.next().await;
                let Some(entry) = change.new else { continue };
                let pod: Pod = entry.decode().unwrap();
                if pod.spec.as_ref().and_then(|s| s.node_name.as_deref()) != Some(NODE) {
                    continue;
                }
                let api = admin.namespaced::<Pod>(&change.key.namespace);
                if entry.header.deleting {
                    let now = client::DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
                    drop(api.delete(&change.key.name, &now).await);
                } else if pod.status.is_none_or(|s| s.pod_ip.is_none()) {
                    last += 1;
                    let good = pod.spec.unwrap().containers[0].image.as_deref() != Some("bad");
                    let ip = format!("10.1.{}.{}", last / 250, 1 + last % 250);
                    let status = json!({"status": {
                        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                        "conditions": [{"type": "Ready", "status": if good { "True" } else { "False" },
                                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                    }});
                    drop(api.patch_status(&change.key.name, &PatchParams::default(), &Patch::Strategic(status)).await);
                }
            }
        })
    }
}

/// Asks again and again until the answer is yes.
pub(crate) async fn eventually<F>(what: &str, mut ask: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !ask().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        ticks.tick().await;
    }
}

/// Waits until all that there was to write is written: nothing was for a while. It is counted how often one looked, and
/// not the time: when the machine stands still, so do the controllers.
pub(crate) async fn comes_to_rest(running: &Running) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let (mut written, mut quiet) = (running.meter.writes().len(), 0);
    while quiet < QUIET_LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = running.meter.writes().len();
        (written, quiet) = (now, if now == written { quiet + 1 } else { 0 });
        assert!(tokio::time::Instant::now() < deadline, "not within {DEADLINE:?}: controllers come to rest");
    }
}

/// Watches for a while that nothing is written.
pub(crate) async fn stays_quiet(running: &Running) {
    let until = tokio::time::Instant::now() + Duration::from_millis(1500);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while tokio::time::Instant::now() < until {
        assert_eq!(running.meter.writes(), Vec::<String>::new(), "settled controllers write nothing");
        ticks.tick().await;
    }
}
