//! What the scheduler writes: bindings, the condition of pods that fit nowhere, and the end of those that make place.

use api::core::v1::Pod;
use client::{ApiError, Body, Client, DeleteParams, Error, Patch, PatchParams, Preconditions};
use controller_runtime::Key;
use serde_json::{Value, json};

use crate::pod_info::{PREEMPTED, PodInfo};

/// Puts the pod on the node. Refused when the pod is gone, another of its name, or bound already.
pub(crate) async fn bind(client: &Client, pod: &PodInfo, node: &str) -> Result<(), Error> {
    let Key { namespace, name } = &pod.key;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"namespace": namespace.as_ref(), "name": name.as_ref(), "uid": pod.uid},
        "target": {"kind": "Node", "name": node},
    });
    let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{name}/binding"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(binding.to_string().into_bytes()))
        .expect("names of objects make a valid path");
    client.bytes(request).await?;
    Ok(())
}

/// What becomes of the node that was promised to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    Keep,
    Withdraw,
    Node(String),
}

impl Promise {
    fn write(&self, status: &mut Value) {
        match self {
            Self::Keep => {}
            Self::Withdraw => status["nominatedNodeName"] = Value::Null,
            Self::Node(node) => status["nominatedNodeName"] = node.as_str().into(),
        }
    }
}

/// Tells the pod's owner why it waits.
pub(crate) async fn mark_unschedulable(
    client: &Client,
    pod: &PodInfo,
    message: &str,
    promise: &Promise,
) -> Result<(), Error> {
    let mut status = condition(pod, "PodScheduled", "False", "Unschedulable", message);
    promise.write(&mut status);
    patch_status(client, pod, status).await
}

/// The node is no longer the pod's.
pub(crate) async fn withdraw(client: &Client, pod: &PodInfo) -> Result<(), Error> {
    patch_status(client, pod, json!({"nominatedNodeName": null})).await
}

/// Makes one pod go away for another, and says why. Answers whether it was there to go.
pub(crate) async fn put_off(client: &Client, victim: &PodInfo, scheduler: &str) -> Result<bool, Error> {
    if victim.terminating {
        return Ok(false);
    }
    let message = format!("{scheduler}: preempting to accommodate a higher priority pod");
    let told = patch_status(client, victim, condition(victim, "DisruptionTarget", "True", PREEMPTED, &message)).await;
    let gone = |error: &Error| error.is_not_found() || error.is_conflict();
    match told {
        Err(error) if gone(&error) => return Ok(false),
        told => told?,
    }
    let preconditions = Preconditions { uid: Some(victim.uid.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match client.namespaced::<Pod>(&victim.key.namespace).delete(&victim.key.name, &params).await {
        Ok(_) => Ok(true),
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn condition(pod: &PodInfo, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if let Some(generation) = pod.generation {
        condition["observedGeneration"] = generation.into();
    }
    json!({"conditions": [condition]})
}

/// Refused as a conflict when another pod has the name by now.
async fn patch_status(client: &Client, pod: &PodInfo, status: Value) -> Result<(), Error> {
    let patch = json!({"metadata": {"uid": pod.uid}, "status": status});
    let pods = client.namespaced::<Pod>(&pod.key.namespace);
    pods.patch_status(&pod.key.name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    Ok(())
}
