//! What this node counts: a summary of what containers use, and metrics.

use std::collections::BTreeMap;

use cri::v1;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::{Body, Refusal, text};
use crate::{
    agent::Agent,
    pod::{labels, status::seconds},
};

/// `/stats/summary`: cpu and memory of containers as the runtime measures them.
pub(super) async fn summary(agent: &Agent) -> Result<Response<Body>, Refusal> {
    let listed = agent.runtime.service.list_container_stats(v1::ListContainerStatsRequest::default()).await;
    let stats = listed.map_err(Refusal::internal)?.stats;
    let mut pods: BTreeMap<[String; 3], Vec<Value>> = BTreeMap::new();
    for one in stats {
        let Some(attributes) = &one.attributes else { continue };
        let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
        let pod = [label(labels::POD_NAMESPACE), label(labels::POD_NAME), label(labels::POD_UID)];
        if !pod[2].is_empty() {
            pods.entry(pod).or_default().push(container(&one, label(labels::CONTAINER_NAME)));
        }
    }
    let pods: Vec<Value> = pods
        .into_iter()
        .map(|([namespace, name, uid], containers)| {
            json!({"podRef": {"name": name, "namespace": namespace, "uid": uid}, "containers": containers})
        })
        .collect();
    let summary = json!({"node": {"nodeName": agent.config.node_name}, "pods": pods});
    let mut answer = text(StatusCode::OK, summary.to_string());
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(answer)
}

fn container(stats: &v1::ContainerStats, name: String) -> Value {
    let time = |nanos: i64| api::jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok().map(seconds);
    let mut value = json!({"name": name});
    if let Some(cpu) = &stats.cpu {
        value["cpu"] = json!({
            "time": time(cpu.timestamp),
            "usageNanoCores": cpu.usage_nano_cores.as_ref().map(|v| v.value),
            "usageCoreNanoSeconds": cpu.usage_core_nano_seconds.as_ref().map(|v| v.value),
        });
    }
    if let Some(memory) = &stats.memory {
        value["memory"] = json!({
            "time": time(memory.timestamp),
            "workingSetBytes": memory.working_set_bytes.as_ref().map(|v| v.value),
            "usageBytes": memory.usage_bytes.as_ref().map(|v| v.value),
            "rssBytes": memory.rss_bytes.as_ref().map(|v| v.value),
        });
    }
    value
}

/// `/metrics`: upstream's names for what is counted here.
pub(super) async fn metrics(agent: &Agent) -> Result<Response<Body>, Refusal> {
    let listed = agent.runtime.service.list_containers(v1::ListContainersRequest { filter: None }).await;
    let containers = listed.map_err(Refusal::internal)?.containers;
    let mut by_state: BTreeMap<&str, usize> = BTreeMap::new();
    for container in &containers {
        let state = match v1::ContainerState::try_from(container.state) {
            Ok(v1::ContainerState::ContainerCreated) => "created",
            Ok(v1::ContainerState::ContainerRunning) => "running",
            Ok(v1::ContainerState::ContainerExited) => "exited",
            _ => "unknown",
        };
        *by_state.entry(state).or_default() += 1;
    }
    let mut out = String::new();
    out.push_str(
        "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n# TYPE kubelet_node_name gauge\n",
    );
    out.push_str(&format!("kubelet_node_name{{node=\"{}\"}} 1\n", agent.config.node_name));
    out.push_str("# HELP kubelet_desired_pods [ALPHA] The number of pods the kubelet is being instructed to run.\n# TYPE kubelet_desired_pods gauge\n");
    out.push_str(&format!("kubelet_desired_pods{{static=\"\"}} {}\n", agent.table.all().len()));
    out.push_str("# HELP kubelet_running_containers [ALPHA] Number of containers currently running\n# TYPE kubelet_running_containers gauge\n");
    for (state, count) in by_state {
        out.push_str(&format!("kubelet_running_containers{{container_state=\"{state}\"}} {count}\n"));
    }
    Ok(text(StatusCode::OK, out))
}
