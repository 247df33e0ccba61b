//! From `pod/web`, `deploy/web` or a plain name to pods and their containers.

use serde_json::Value;

use crate::{
    discovery::Resource,
    failure::{Result, refuse},
    manifest::text_at,
    selection,
    server::{JSON, Query, Server},
};

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Pods of what was named: itself, or those its selector selects, best first.
pub(crate) async fn find(server: &Server, typed: &str) -> Result<Vec<Value>> {
    let discovery = server.discovery().await?;
    let selected = match typed.contains('/') {
        true => selection::select(server, &[typed.to_owned()]).await?.remove(0),
        false => selection::Selected { resource: discovery.find("pods")?.clone(), name: Some(typed.to_owned()) },
    };
    let name = selected.name.unwrap_or_default();
    let namespace = Some(server.namespace.as_str());
    let object = server.get(&selected.resource.object_path(namespace, &name), JSON).await?;
    if text_at(&object, "/kind") == "Pod" {
        return Ok(vec![object]);
    }
    let Some(selector) = selector_of(&object) else {
        return refuse(format!("no logs or commands of {}: it selects no pods", selected.resource.full_name()));
    };
    let mut pods = list(server, discovery.find("pods")?, &selector).await?;
    if pods.is_empty() {
        return refuse(format!("timed out waiting for the condition: {typed} has no pods"));
    }
    pods.sort_by_key(rank);
    Ok(pods)
}

pub(crate) async fn list(server: &Server, pods: &Resource, selector: &str) -> Result<Vec<Value>> {
    let path = Query::default().with("labelSelector", selector).on(&pods.path(Some(&server.namespace)));
    let mut list = server.get(&path, JSON).await?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// `a=1,b=2` of a Service, a Deployment and everything that selects as they do.
fn selector_of(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?.as_object()?;
    let labels = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(selector);
    let mut terms: Vec<String> = labels.iter().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = text_at(expression, "/key");
        let values = expression.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match text_at(expression, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// Running and ready pods first, then the older ones.
fn rank(pod: &Value) -> (bool, bool, bool, String) {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready =
        conditions.into_iter().flatten().any(|c| text_at(c, "/type") == "Ready" && text_at(c, "/status") == "True");
    (
        text_at(pod, "/spec/nodeName").is_empty(),
        text_at(pod, "/status/phase") != "Running",
        !ready,
        text_at(pod, "/metadata/creationTimestamp").to_owned(),
    )
}

/// Names of init, plain and ephemeral containers.
pub(crate) fn containers(pod: &Value, fields: &[&str]) -> Vec<String> {
    let list =
        |field: &str| pod.pointer(&format!("/spec/{field}")).and_then(Value::as_array).cloned().unwrap_or_default();
    fields.iter().flat_map(|field| list(field)).map(|c| text_at(&c, "/name").to_owned()).collect()
}

/// The container meant when none is named. Says so when there were others.
pub(crate) fn default_container(pod: &Value) -> Result<String> {
    let annotated = text_at(pod, &format!("/metadata/annotations/{}", DEFAULT_CONTAINER.replace('/', "~1")));
    let plain = containers(pod, &["containers"]);
    if !annotated.is_empty() && plain.iter().any(|c| c == annotated) {
        return Ok(annotated.to_owned());
    }
    let Some(first) = plain.first() else { return refuse("the pod has no container") };
    let mut all = plain.clone();
    all.extend(containers(pod, &["ephemeralContainers"]).into_iter().map(|c| format!("{c} (ephem)")));
    all.extend(containers(pod, &["initContainers"]).into_iter().map(|c| format!("{c} (init)")));
    if all.len() > 1 {
        eprintln!("Defaulted container {first:?} out of: {}", all.join(", "));
    }
    Ok(first.clone())
}
