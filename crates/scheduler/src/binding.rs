//! What the scheduler writes: bindings, and the condition of pods that fit nowhere.

use api::core::v1::Pod;
use client::{Body, Client, Error, Patch, PatchParams};
use controller_runtime::Key;
use serde_json::json;

use crate::pod_info::PodInfo;

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

/// Tells the pod's owner why it waits.
pub(crate) async fn mark_unschedulable(client: &Client, pod: &PodInfo, message: &str) -> Result<(), Error> {
    let condition = json!({"status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }]}});
    let pods = client.namespaced::<Pod>(&pod.key.namespace);
    pods.patch_status(&pod.key.name, &PatchParams::default(), &Patch::Strategic(condition)).await?;
    Ok(())
}
