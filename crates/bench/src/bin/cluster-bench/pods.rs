//! From POST of a pod of one container to its phase Running in a watch, and from DELETE to its end.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use client::Client;
use serde_json::{Value, json};
use testkit::Node;

use crate::{
    api::{Events, call, connect, inside},
    quantile, report, usage,
};

const NAMESPACE: &str = "pod-bench";
const PODS: &str = "/api/v1/namespaces/pod-bench/pods";

pub(crate) fn measure(node: &Node, serial: usize, burst: usize) -> anyhow::Result<()> {
    node.kubectl().ok(&format!("create namespace {NAMESPACE}"));
    node.kubectl().ok(&format!("wait --for=create serviceaccount/default -n {NAMESPACE} --timeout=30s"));
    let kubeconfig = node.kubeconfig();
    inside(node, || async move {
        let client = connect(&kubeconfig).await?;
        let mut events = Events::of(&client, PODS).await?;

        let before = usage::whole(node)?;
        let mut started = Vec::new();
        for number in 0..serial {
            let began = Instant::now();
            let name = create(&client, &format!("one-{number}")).await?;
            until(&mut events, &[name], is_running).await?;
            started.push(began.elapsed());
        }
        let between = usage::whole(node)?;
        let began = Instant::now();
        let creates = (0..burst).map(|number| create_named(&client, format!("many-{number}")));
        let names = futures::future::try_join_all(creates).await?;
        until(&mut events, &names, is_running).await?;
        let together = began.elapsed();
        let after = usage::whole(node)?;

        let mut ended = Vec::new();
        for number in 0..serial {
            let name = format!("one-{number}");
            let began = Instant::now();
            call(&client, "DELETE", &format!("{PODS}/{name}"), None).await?;
            until(&mut events, &[name], is_gone).await?;
            ended.push(began.elapsed());
        }
        call(&client, "DELETE", PODS, None).await?;
        until(&mut events, &names, is_gone).await?;
        let figures = json!({
            "running_p50_ms": quantile(&started, 0.5), "running_p90_ms": quantile(&started, 0.9), "pods": serial,
            "cpu_ms_each": per(between - before, serial),
            "at_once": burst, "all_running_ms": quantile(&[together], 1.0), "at_once_cpu_ms_each": per(after - between, burst),
            "gone_p50_ms": quantile(&ended, 0.5),
        });
        report("pods", figures);
        Ok(())
    })
}

#[expect(clippy::cast_precision_loss, reason = "a count of pods")]
fn per(time: Duration, count: usize) -> f64 {
    (time.as_secs_f64() * 10_000.0 / count as f64).round() / 10.0
}

async fn create_named(client: &Client, name: String) -> anyhow::Result<String> {
    create(client, &name).await
}

async fn create(client: &Client, name: &str) -> anyhow::Result<String> {
    let container = json!({ "name": "main", "image": "localhost/hello:1", "command": ["/bin/sleep", "100000"] });
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [container] });
    call(client, "POST", PODS, Some(&json!({ "metadata": { "name": name }, "spec": spec }))).await?;
    Ok(name.to_owned())
}

fn is_running(event: &Value) -> bool {
    event["object"]["status"]["phase"] == "Running"
}

fn is_gone(event: &Value) -> bool {
    event["type"] == "DELETED"
}

/// Reads events until this was true of every one of these pods.
async fn until(events: &mut Events, names: &[String], holds: fn(&Value) -> bool) -> anyhow::Result<()> {
    let mut waiting: HashSet<&str> = names.iter().map(String::as_str).collect();
    while !waiting.is_empty() {
        let event = events.next().await?;
        if holds(&event) {
            waiting.remove(event["object"]["metadata"]["name"].as_str().unwrap_or_default());
        }
    }
    Ok(())
}
