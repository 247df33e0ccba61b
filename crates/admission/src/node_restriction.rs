//! `NodeRestriction`: a kubelet writes its own node, its own lease, and the pods bound to its node.

use apimachinery::{Object, Status, field::quote};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Objects, Operation, Plugin, Request};

const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Labels below these domains are the cluster's, not the node's …
const CLUSTER_DOMAINS: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// … but for these, which kubelets set by themselves,
const OWN_LABELS: [&str; 15] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/windows-build",
    "kubernetes.io/instance-type",
];
/// … and those below these domains.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(crate) struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        object: Option<&mut Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let Some(node) = node_of(request) else { return Ok(()) };
        let object = object.as_deref();
        let verdict = match (request.group, request.resource, request.subresource) {
            ("", "pods", "") => pod(request, node, object),
            ("", "pods", "status") => pod_status(node, request.old),
            ("", "pods", "eviction") => eviction(request, node, objects).await?,
            ("", "nodes", _) => own_node(request, node, object),
            ("coordination.k8s.io", "leases", _) => lease(request, node, object),
            _ => Ok(()),
        };
        verdict.map_err(|why| request.forbidden(object, &why))
    }
}

fn node_of<'a>(request: &Request<'a>) -> Option<&'a str> {
    let name = request.user.username.strip_prefix("system:node:")?;
    request.user.in_group("system:nodes").then_some(name)
}

fn bound_to(pod: &Object) -> &str {
    pod.get_str(&["spec", "nodeName"]).unwrap_or_default()
}

fn pod(request: &Request<'_>, node: &str, object: Option<&Object>) -> Result<(), String> {
    match (request.operation, object, request.old) {
        (Operation::Create, Some(pod), _) => {
            if pod.annotation(MIRROR_ANNOTATION).is_none() {
                return Err(format!(
                    "pod does not have {} annotation, node {} can only create mirror pods",
                    quote(MIRROR_ANNOTATION),
                    quote(node)
                ));
            }
            if bound_to(pod) != node {
                return Err(format!("node {} can only create pods with spec.nodeName set to itself", quote(node)));
            }
            let owners: Vec<_> = pod.owner_references().collect();
            match owners.as_slice() {
                [] => Ok(()),
                [owner] if owner.api_version == "v1" && owner.kind == "Node" && owner.name == node => Ok(()),
                _ => Err(format!("node {} can only create pods with an owner reference set to itself", quote(node))),
            }
        }
        (Operation::Update, ..) => {
            Err(format!("unexpected operation \"UPDATE\", node {} can only create and delete mirror pods", quote(node)))
        }
        (Operation::Delete, _, Some(pod)) if bound_to(pod) != node => {
            Err(format!("node {} can only delete pods with spec.nodeName set to itself", quote(node)))
        }
        _ => Ok(()),
    }
}

fn pod_status(node: &str, old: Option<&Object>) -> Result<(), String> {
    match old {
        Some(pod) if bound_to(pod) != node => {
            Err(format!("node {} can only update pod status for pods with spec.nodeName set to itself", quote(node)))
        }
        _ => Ok(()),
    }
}

async fn eviction(request: &Request<'_>, node: &str, objects: &dyn Objects) -> Result<Result<(), String>, Status> {
    let pod = objects.get(("", "v1", "pods"), request.namespace, request.name).await?;
    Ok(match pod {
        Some(pod) if bound_to(&pod) != node => {
            Err(format!("node {} can only evict pods with spec.nodeName set to itself", quote(node)))
        }
        _ => Ok(()),
    })
}

fn own_node(request: &Request<'_>, node: &str, object: Option<&Object>) -> Result<(), String> {
    let name = if request.name.is_empty() { object.map_or("", Object::name) } else { request.name };
    if name != node {
        return Err(format!("node {} is not allowed to modify node {}", quote(node), quote(name)));
    }
    match (request.operation, object, request.old) {
        (Operation::Create, Some(new), _) => labels(new, None, "set"),
        (Operation::Update, Some(new), Some(old)) => {
            let taints = |object: &Object| {
                object.get(&["spec", "taints"]).cloned().filter(|t| !t.is_null() && *t != Value::Array(Vec::new()))
            };
            if taints(new) != taints(old) {
                return Err(format!("node {} is not allowed to modify taints", quote(node)));
            }
            if new.get(&["metadata", "ownerReferences"]) != old.get(&["metadata", "ownerReferences"]) {
                return Err(format!("node {} is not allowed to modify ownerReferences", quote(node)));
            }
            labels(new, Some(old), "modify")
        }
        _ => Ok(()),
    }
}

/// Nodes must not name themselves into places: labels that steer pods are the administrator's.
fn labels(new: &Object, old: Option<&Object>, doing: &str) -> Result<(), String> {
    let mut keys: Vec<&str> = new.labels().map(|(key, _)| key).collect();
    keys.extend(old.into_iter().flat_map(|old| old.labels().map(|(key, _)| key)));
    keys.sort_unstable();
    keys.dedup();
    let forbidden: Vec<&str> = keys
        .into_iter()
        .filter(|key| new.label(key) != old.and_then(|old| old.label(key)) && !is_own_label(key))
        .collect();
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(format!("is not allowed to {doing} the following labels: {}", forbidden.join(", ")))
}

fn is_own_label(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return true };
    let below = |parents: &[&str]| {
        parents.iter().any(|parent| domain == *parent || domain.strip_suffix(parent).is_some_and(|d| d.ends_with('.')))
    };
    if below(&["node-restriction.kubernetes.io"]) {
        return false;
    }
    !below(&CLUSTER_DOMAINS) || OWN_LABELS.contains(&key) || below(&OWN_DOMAINS)
}

fn lease(request: &Request<'_>, node: &str, object: Option<&Object>) -> Result<(), String> {
    if request.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    let name = if request.name.is_empty() { object.map_or("", Object::name) } else { request.name };
    if name == node {
        Ok(())
    } else {
        Err("can only access node lease with the same name as the requesting node".to_owned())
    }
}
