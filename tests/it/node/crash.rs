//! `kill -9` of the whole daemon at random moments under a load of writes, while its pods run: nothing that was
//! acknowledged is lost, no revision goes back, no container is started again, no pod replaced, the Service answers all
//! the while, and what a kill left half done is finished or taken back.
//!
//! `KNARR_CRASH_KILLS` sets the number of kills instead of the time; `KNARR_CRASH_SEED` repeats a run but for the order
//! of threads.

mod ledger;
mod remains;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use client::Client;
use futures::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use testkit::{Dice, Kubectl, Network, Node, eventually};
use tokio::time::Instant;

use super::run_hello;
use ledger::Ledger;
use remains::Remains;

const KILLS: &str = "KNARR_CRASH_KILLS";
const SEED: &str = "KNARR_CRASH_SEED";
/// How long it goes on when nobody says how often.
const LONG_ENOUGH: Duration = Duration::from_secs(25);
/// Fewer find nothing, however slow the machine is.
const LEAST_LIVES: usize = 3;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);
const NODE_PORT: u16 = 30_087;
/// Replicas of the Deployment that changes all the time.
const MAX_CHURN: u64 = 3;

/// Pods that come and go while others must stay.
const CHURN: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: churn}}
data: {key: value}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: churn, labels: {app: churn}}
spec:
  replicas: 1
  selector: {matchLabels: {app: churn}}
  template:
    metadata: {labels: {app: churn}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes:
      - {name: settings, configMap: {name: settings}}
      - {name: scratch, emptyDir: {medium: Memory}}
      containers:
      - name: main
        image: localhost/hello:1
        command: [sleep, "3600"]
        volumeMounts: [{name: settings, mountPath: /settings}, {name: scratch, mountPath: /scratch}]
"#;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A client of the server that has just been started, when it is ready.
async fn ready(kubeconfig: &Path) -> Client {
    let begun = Instant::now();
    loop {
        if let Ok(client) = Client::from_kubeconfig(kubeconfig).await
            && client.get_bytes("/readyz", "text/plain").await.is_ok()
        {
            return client;
        }
        assert!(begun.elapsed() < PATIENCE, "the server is not ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What of the pods that stay must not change.
fn identities(list: &Value) -> Vec<String> {
    let pods = list["items"].as_array().unwrap().iter();
    let mut pods: Vec<String> = pods
        .map(|pod| {
            let (meta, status) = (&pod["metadata"], &pod["status"]);
            let containers = status["containerStatuses"].as_array().into_iter().flatten();
            let containers: Vec<String> = containers
                .map(|c| format!("{} {} {}", c["containerID"], c["restartCount"], c["state"]["running"]["startedAt"]))
                .collect();
            format!("{} {} {} {} {containers:?}", meta["name"], meta["uid"], status["podIP"], status["phase"])
        })
        .collect();
    pods.sort();
    pods
}

/// The cluster, and what it must not forget.
struct Trial {
    node: Node,
    ledger: Ledger,
    /// Pods that stay, as they were in the beginning, and the processes that they stand and fall with.
    pods: Vec<String>,
    pids: Vec<u32>,
    dice: Dice,
    lives: usize,
    /// Lives that ended before the server was ready.
    unborn: usize,
}

impl Trial {
    fn begin(node: Node, dice: Dice) -> Self {
        let kubectl = node.kubectl();
        let pods = identities(&kubectl.run(["get", "pods", "-l", "app=hello", "-o", "json"]).json());
        let pids = node.pod_pids().into_iter().filter(|pid| is_lasting(*pid)).collect();
        kubectl.apply(CHURN);
        Self { node, ledger: Ledger::default(), pods, pids, dice, lives: 0, unborn: 0 }
    }

    /// From the start of the daemon to a random moment.
    fn live_and_die(&mut self) {
        self.node.launch();
        self.lives += 1;
        let kubeconfig = self.node.kubeconfig();
        let pid = Pid::from_raw(i32::try_from(self.node.pid()).unwrap());
        let is_unborn = self.dice.roll(4) == 0;
        let (ledger, dice, pods) = (&mut self.ledger, &mut self.dice, &self.pods);
        self.node.network().inside(|| {
            runtime().block_on(async {
                if is_unborn {
                    tokio::time::sleep(Duration::from_micros(dice.roll(250_000))).await;
                    return kill(pid, Signal::SIGKILL).unwrap();
                }
                let client = ready(&kubeconfig).await;
                check(&client, ledger, pods).await;
                let load = join_all(ledger.writers().map(|writer| writer.run(&client)));
                let churn = scale_for_ever(&client, dice.roll(MAX_CHURN + 1));
                let after = Duration::from_micros(dice.roll(200_000));
                let mut all = std::pin::pin!(futures::future::join(load, churn));
                tokio::select! {
                    _ = &mut all => panic!("the server went before it was killed"),
                    () = tokio::time::sleep(after) => kill(pid, Signal::SIGKILL).unwrap(),
                }
                tokio::time::timeout(PATIENCE, all).await.expect("writers of a dead server end");
            });
        });
        self.unborn += usize::from(is_unborn);
        self.node.kill();
        let left = self.node.pod_pids();
        let gone: Vec<&u32> = self.pids.iter().filter(|pid| !left.contains(pid)).collect();
        assert!(gone.is_empty(), "processes {gone:?} of pods that stay are gone in life {}", self.lives);
    }

    /// The last life: everything half done is finished or taken back.
    fn end(mut self, remains: &Remains) {
        self.node.start_again();
        let kubeconfig = self.node.kubeconfig();
        let (ledger, pods) = (&mut self.ledger, &self.pods);
        self.node.network().inside(|| {
            runtime().block_on(async { check(&ready(&kubeconfig).await, ledger, pods).await });
        });
        let kubectl = self.node.kubectl();
        settle(&kubectl);
        kubectl.ok("delete deploy churn --cascade=foreground --timeout=180s");
        eventually("nothing is left of the pods that went", || {
            let now = Remains::of(&self.node);
            if now == *remains { Ok(()) } else { Err(now.beyond(remains)) }
        });
        println!("{} kills, {} before it was ready; {}", self.lives, self.unborn, self.ledger);
    }
}

/// Whether it is a shim or the first process of its container: those below, of which a web server has one for each
/// request, come and go.
fn is_lasting(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    matches!(numbers.split_whitespace().collect::<Vec<_>>()[..], [_] | [.., "1"])
}

/// What the server says after a start is what it said before.
async fn check(client: &Client, ledger: &mut Ledger, pods: &[String]) {
    let get = async |path: &str| -> Value {
        let bytes = client.get_bytes(path, "application/json").await.expect("a server that is ready answers");
        serde_json::from_slice(&bytes).unwrap()
    };
    ledger.check(&get(ledger::PATH).await);
    let now = identities(&get("/api/v1/namespaces/default/pods?labelSelector=app%3Dhello").await);
    assert_eq!(now, pods, "pods that stay have changed");
}

/// Gives the Deployment this many replicas, one more, and so on, until the server is gone.
async fn scale_for_ever(client: &Client, first: u64) {
    for replicas in first.. {
        let patch = serde_json::json!({ "spec": { "replicas": replicas % (MAX_CHURN + 1) } });
        let request = http::Request::patch("/apis/apps/v1/namespaces/default/deployments/churn")
            .header("content-type", "application/merge-patch+json")
            .body(serde_json::to_vec(&patch).unwrap().into())
            .unwrap();
        match client.bytes(request).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(30)).await,
            Err(client::Error::Api(status)) => panic!("refused: {status:?}"),
            Err(_) => return,
        }
    }
}

/// The Deployment that changed all the time comes to rest, as asked for.
fn settle(kubectl: &Kubectl) {
    kubectl.ok("scale deploy churn --replicas=2");
    let status = kubectl.run(["rollout", "status", "deploy/churn", "--timeout=180s"]);
    assert!(status.is_success(), "{status}\n{}", kubectl.ok("describe pods"));
    eventually("no more pods than asked for are there", || {
        let pods = kubectl.ok("get pods -l app=churn -o name");
        if pods.lines().count() == 2 { Ok(()) } else { Err(pods) }
    });
}

/// Asks the Service until told to stop; counts how often.
fn ask_for_ever(network: &Network, stop: &AtomicBool, asked: &AtomicUsize) {
    network.inside(|| {
        while !stop.load(Ordering::SeqCst) {
            let answer = testkit::get(&format!("127.0.0.1:{NODE_PORT}"));
            let number = asked.fetch_add(1, Ordering::SeqCst);
            assert!(answer.is_ok(), "request {number} to the Service: {answer:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn kills_lose_nothing_and_touch_no_pod() {
    let kills = std::env::var(KILLS).ok().map(|text| text.parse::<usize>().unwrap());
    let dice = Dice::from_env(SEED);
    let node = Node::start();
    run_hello(&node, &node.kubectl(), NODE_PORT);
    let (network, stop, asked) = (node.network(), AtomicBool::new(false), AtomicUsize::new(0));
    let remains = Remains::of(&node);
    let mut trial = Trial::begin(node, dice);
    trial.node.kill();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_for_ever(&network, &stop, &asked));
        let begun = Instant::now();
        let is_over =
            |lives| kills.map_or(begun.elapsed() > LONG_ENOUGH && lives >= LEAST_LIVES, |kills| lives >= kills);
        while !is_over(trial.lives) && !asking.is_finished() {
            trial.live_and_die();
        }
        stop.store(true, Ordering::SeqCst);
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    trial.end(&remains);
    println!("{} requests to the Service, all answered", asked.into_inner());
}
