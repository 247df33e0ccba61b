//! From POST of a Deployment of three and its Service to three ready endpoints, all of which have answered.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use testkit::Node;

use crate::{
    api::{Events, call, connect, inside},
    quantile, report,
};

const DOOR: &str = "127.0.0.1:30080";
const REPLICAS: usize = 3;

/// The example is left running.
pub(crate) fn measure(node: &Node, times: usize) -> anyhow::Result<()> {
    let (mut ready, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..times {
        node.kubectl().ok("delete deployment,service -l app=hello --cascade=foreground --timeout=60s");
        node.kubectl().ok("wait --for=delete pod -l app=hello --timeout=60s");
        let (to_ready, to_answers) = once(node)?;
        ready.push(to_ready);
        answered.push(to_answers);
    }
    let figures = json!({
        "ready_endpoints_p50_ms": quantile(&ready, 0.5), "all_answered_p50_ms": quantile(&answered, 0.5),
        "all_answered_max_ms": quantile(&answered, 1.0), "replicas": REPLICAS, "times": times,
    });
    report("deployment", figures);
    Ok(())
}

fn once(node: &Node) -> anyhow::Result<(Duration, Duration)> {
    let kubeconfig = node.kubeconfig();
    let manifest = std::fs::read_to_string(testkit::examples().join("hello.yaml")).context("read the example")?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&manifest).context("the example is YAML")?;
    let (began, to_ready) = inside(node, || async move {
        let client = connect(&kubeconfig).await?;
        let mut events = Events::of(&client, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices").await?;
        let began = Instant::now();
        for object in &objects {
            let collection = match object["kind"].as_str() {
                Some("Deployment") => "/apis/apps/v1/namespaces/default/deployments",
                Some("Service") => "/api/v1/namespaces/default/services",
                kind => anyhow::bail!("the example holds a {kind:?}"),
            };
            call(&client, "POST", collection, Some(object)).await?;
        }
        while ready_endpoints(&events.next().await?) < REPLICAS {}
        Ok((began, began.elapsed()))
    })?;
    let mut names = HashSet::new();
    while names.len() < REPLICAS {
        if let Ok(answer) = node.get(DOOR) {
            names.insert(answer);
        }
    }
    Ok((to_ready, began.elapsed()))
}

fn ready_endpoints(event: &Value) -> usize {
    let slice = &event["object"];
    let is_ours = slice["metadata"]["labels"]["kubernetes.io/service-name"] == "hello" && event["type"] != "DELETED";
    let endpoints = slice["endpoints"].as_array().filter(|_| is_ours);
    endpoints.map_or(0, |all| all.iter().filter(|each| each["conditions"]["ready"] == true).count())
}
