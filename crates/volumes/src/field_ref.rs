//! The downward API: fields of the pod and resources of its containers as text, for files and for environment
//! variables.

use std::collections::BTreeMap;

use api::core::v1::{Container, Pod, ResourceFieldSelector};
use apimachinery::Quantity;

use crate::{Error, NodeFacts};

/// A field of the pod that does not depend on what runs.
pub fn pod_field(pod: &Pod, path: &str) -> Result<String, Error> {
    let meta = &pod.metadata;
    let of = |field: &Option<String>| field.clone().unwrap_or_default();
    if let Some((map, key)) = subscript(path) {
        let values = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(Error::FieldPath(path.to_owned())),
        };
        return Ok(values.and_then(|v| v.get(key)).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => of(&meta.name),
        "metadata.namespace" => of(&meta.namespace),
        "metadata.uid" => of(&meta.uid),
        "metadata.labels" => format_map(meta.labels.as_ref()),
        "metadata.annotations" => format_map(meta.annotations.as_ref()),
        "spec.nodeName" => spec.map(|s| of(&s.node_name)).unwrap_or_default(),
        "spec.serviceAccountName" => spec.map(|s| of(&s.service_account_name)).unwrap_or_default(),
        _ => return Err(Error::FieldPath(path.to_owned())),
    })
}

/// `metadata.labels['key']` taken apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// One `key="value"` a line, sorted, values quoted as Go does.
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map.into_iter().flatten().map(|(k, v)| format!("{k}={}", quoted(v))).collect();
    lines.join("\n")
}

/// Go's `%q`.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A request or limit of a container in units of the divisor, rounded up. A limit that is not set is the node's.
pub fn resource_field(
    pod: &Pod,
    container: &str,
    field: &ResourceFieldSelector,
    node: &NodeFacts,
) -> Result<String, Error> {
    let spec = pod.spec.as_ref();
    let mut containers = spec.into_iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
    let found = containers.find(|c| c.name == container).ok_or_else(|| Error::ContainerName(container.to_owned()))?;
    let amount = amount(found, &field.resource, node)?;
    let divisor = match field.divisor.as_ref().map(|q| q.0.as_str()).filter(|q| !q.is_empty() && *q != "0") {
        Some(text) => text.parse::<Quantity>().map_err(|_| Error::Quantity(text.to_owned()))?,
        None => Quantity::from_milli(1000),
    };
    let whole = if field.resource.ends_with(".cpu") {
        div_up(amount.milli(), divisor.milli())
    } else {
        div_up(amount.units(), divisor.units())
    };
    Ok(whole.to_string())
}

fn amount(container: &Container, resource: &str, node: &NodeFacts) -> Result<Quantity, Error> {
    let unknown = || Error::ResourceName(resource.to_owned());
    let (kind, name) = resource.split_once('.').ok_or_else(unknown)?;
    let resources = container.resources.as_ref();
    let set = match kind {
        "limits" => resources.and_then(|r| r.limits.as_ref()),
        "requests" => resources.and_then(|r| r.requests.as_ref()),
        _ => return Err(unknown()),
    };
    if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !name.starts_with("hugepages-") {
        return Err(unknown());
    }
    let set = match set.and_then(|s| s.get(name)) {
        Some(text) => Some(text.0.parse::<Quantity>().map_err(|_| Error::Quantity(text.0.clone()))?),
        None => None,
    };
    let default = || if kind == "limits" { node.allocatable.get(name).copied() } else { None };
    Ok(set.filter(|q| !q.is_zero()).or_else(default).unwrap_or_default())
}

fn div_up(amount: i64, by: i64) -> i64 {
    if by <= 0 { 0 } else { amount / by + i64::from(amount % by != 0) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u",
                "labels": {"b": "2", "a": "x\"y\n"}, "annotations": {"k/v": "w"}},
            "spec": {"nodeName": "node", "serviceAccountName": "sa", "containers": [{"name": "c",
                "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}}]},
        }))
        .unwrap()
    }

    #[test]
    fn fields() {
        let pod = pod();
        for (path, text) in [
            ("metadata.name", "p"),
            ("metadata.namespace", "n"),
            ("metadata.uid", "u"),
            ("metadata.labels", "a=\"x\\\"y\\n\"\nb=\"2\""),
            ("metadata.labels['b']", "2"),
            ("metadata.annotations['k/v']", "w"),
            ("metadata.annotations['none']", ""),
            ("spec.nodeName", "node"),
            ("spec.serviceAccountName", "sa"),
        ] {
            assert_eq!(pod_field(&pod, path).unwrap(), text, "{path}");
        }
        assert!(pod_field(&pod, "spec.containers").is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let node = NodeFacts { allocatable: [("memory".to_owned(), "1Gi".parse().unwrap())].into() };
        let read = |resource: &str, divisor: &str| {
            let field = serde_json::from_value(json!({"resource": resource, "divisor": divisor})).unwrap();
            resource_field(&pod(), "c", &field, &node).map_err(|e| e.to_string())
        };
        assert_eq!(read("limits.cpu", "0").unwrap(), "2");
        assert_eq!(read("limits.cpu", "1m").unwrap(), "1500");
        assert_eq!(read("requests.cpu", "1").unwrap(), "1");
        assert_eq!(read("limits.memory", "1Mi").unwrap(), "64");
        assert_eq!(read("requests.memory", "1").unwrap(), "0");
        assert_eq!(read("limits.gpu", "1").unwrap_err(), "unsupported container resource: limits.gpu");
    }
}
