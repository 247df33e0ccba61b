//! `PodSecurity`: what the labels `pod-security.kubernetes.io/{enforce,warn}` of a namespace allow its pods. Audit
//! labels have no effect yet, since there is no audit log. Every version label is read as `latest`.

mod checks;

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Objects, Operation, Plugin, Request};

const PREFIX: &str = "pod-security.kubernetes.io/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    /// A label that names no level restricts, as upstream has it.
    fn parse(text: &str) -> Self {
        match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            _ => Self::Restricted,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

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
        let Some(object) = object else { return Ok(()) };
        let is_pod = (request.is("pods") && request.operation == Operation::Create)
            || request.is_sub("pods", "ephemeralcontainers");
        let spec = if is_pod { object.get(&["spec"]) } else { template(request, object) };
        let Some(spec) = spec else { return Ok(()) };
        let Some(namespace) = objects.get(("", "v1", "namespaces"), "", request.namespace).await? else {
            return Ok(());
        };
        if is_pod && let Some(violations) = violations(&namespace, "enforce", spec) {
            return Err(request.forbidden(Some(object), &format!("violates {violations}")));
        }
        if let Some(violations) = violations(&namespace, "warn", spec) {
            (request.warn)(&format!("would violate {violations}"));
        }
        Ok(())
    }
}

/// What makes pods is warned about; the pods it makes are judged when they come.
fn template<'a>(request: &Request<'_>, object: &'a Object) -> Option<&'a Value> {
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    let makes_pods = matches!(
        (request.group, request.resource),
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") | ("batch", "jobs")
    );
    (writes && makes_pods && request.subresource.is_empty())
        .then(|| object.get(&["spec", "template", "spec"]))
        .flatten()
}

/// `PodSecurity "restricted:latest": …`, where the mode's level is violated.
fn violations(namespace: &Object, mode: &str, spec: &Value) -> Option<String> {
    let level = Level::parse(namespace.label(&format!("{PREFIX}{mode}"))?);
    let version = namespace.label(&format!("{PREFIX}{mode}-version")).unwrap_or("latest");
    let found = checks::run(level, spec);
    (!found.is_empty()).then(|| format!("PodSecurity \"{}:{version}\": {}", level.as_str(), found.join(", ")))
}

#[cfg(test)]
mod tests;
