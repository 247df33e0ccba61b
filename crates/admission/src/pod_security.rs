//! `PodSecurity`: what the labels `pod-security.kubernetes.io/{enforce,warn}` of a namespace allow its pods. Audit
//! labels are judged and have no effect, since there is no audit log.

mod checks;
mod namespace;
mod policy;

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Objects, Operation, Plugin, Request};
use checks::Finding;
use policy::{Policy, Standard};

/// Subresources of pods that bring no pod along.
const NO_PODS: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

pub(crate) struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    async fn validate(
        &self,
        request: &Request<'_>,
        object: Option<&Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let (Some(object), Operation::Create | Operation::Update) = (object, request.operation) else { return Ok(()) };
        if request.is("namespaces") {
            return namespace::check(request, object, objects).await;
        }
        let is_pod = request.group.is_empty() && request.resource == "pods";
        let template = if is_pod { pod(request, object) } else { template(request, object) };
        let Some(template) = template else { return Ok(()) };
        let Some(namespace) = objects.get(("", "v1", "namespaces"), "", request.namespace).await? else {
            return Ok(());
        };
        let (policy, _) = Policy::of(&namespace);
        if is_pod && let Some(violations) = violations(policy.enforce, template) {
            return Err(request.forbidden(Some(object), &format!("violates {violations}")));
        }
        if let Some(violations) = violations(policy.warn, template) {
            (request.warn)(&format!("would violate {violations}"));
        }
        Ok(())
    }
}

/// The pod, where the write says anything new about what it runs.
fn pod<'a>(request: &Request<'_>, object: &'a Object) -> Option<Template<'a>> {
    if NO_PODS.contains(&request.subresource) {
        return None;
    }
    let news = request.old.is_none_or(|old| is_significant(object, old));
    news.then(|| Template {
        annotations: object.get(&["metadata", "annotations"]).unwrap_or(&Value::Null),
        spec: object.get(&["spec"]).unwrap_or(&Value::Null),
    })
}

/// Of what an update may change, images and new containers concern the standards.
fn is_significant(new: &Object, old: &Object) -> bool {
    let images = |object: &Object| -> Vec<(String, String)> {
        let lists = ["containers", "initContainers", "ephemeralContainers"].into_iter();
        let containers = lists.filter_map(|list| object.get(&["spec", list])?.as_array()).flatten();
        let text = |c: &Value, field: &str| c[field].as_str().unwrap_or_default().to_owned();
        containers.map(|c| (text(c, "name"), text(c, "image"))).collect()
    };
    images(new) != images(old)
}

/// What of a pod, or of a template for pods, is judged.
#[derive(Clone, Copy)]
struct Template<'a> {
    annotations: &'a Value,
    spec: &'a Value,
}

/// What makes pods is warned about; the pods it makes are judged when they come.
fn template<'a>(request: &Request<'_>, object: &'a Object) -> Option<Template<'a>> {
    let path: &[&str] = match (request.group, request.resource) {
        ("", "podtemplates") => &["template"],
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => &["spec", "template"],
        ("batch", "cronjobs") => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    };
    let template = object.get(path).filter(|_| request.subresource.is_empty())?;
    let (annotations, spec) = (&template["metadata"]["annotations"], template.get("spec")?);
    Some(Template { annotations, spec })
}

/// `PodSecurity "restricted:latest": …`, where the standard is violated.
fn violations(standard: Standard, template: Template<'_>) -> Option<String> {
    let found = checks::run(standard, template.annotations, template.spec);
    let details: Vec<String> = found.iter().map(Finding::to_string).collect();
    (!found.is_empty()).then(|| format!("PodSecurity \"{standard}\": {}", details.join(", ")))
}

#[cfg(test)]
mod tests;
