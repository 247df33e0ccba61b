//! The scheduler's word: this pod goes to that node.

use apimachinery::{GroupResource, Object, Reason, Status, field};
use serde_json::{Value, json};

use crate::{Attributes, Body, Operation, Registry, RequestContext, create::options, decode};

impl Registry {
    pub(super) async fn bind(&self, cx: &RequestContext, body: Body) -> Result<(), Status> {
        let node = schema::builtin()
            .definition("io.k8s.api.core.v1.Binding")
            .ok_or_else(|| Status::internal("the schema lacks bindings"))?;
        let expected = decode::Expected { node, api_version: "v1".to_owned(), kind: "Binding" };
        let mut binding = decode::body(self.resources(), &expected, cx, body)?;
        if !cx.name.is_empty() && binding.name() != cx.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        check(&binding)?;
        let pods = self.pods()?;
        let options = options("CreateOptions", cx);
        let attributes = Attributes {
            operation: Operation::Create,
            resource: pods.as_ref(),
            subresource: "binding",
            namespace: cx.namespace(),
            name: &cx.name,
            user: &cx.user,
            old: None,
            options: &options,
            dry_run: cx.dry_run,
            warnings: &cx.warnings,
        };
        self.admission().mutate(&attributes, Some(&mut binding)).await?;
        self.admission().validate(&attributes, Some(&binding)).await?;
        let name = binding.name().to_owned();
        let now = cx.timestamp();
        self.edit(&pods, cx, &name, &|pod| assign(pod, &binding, &now)).await?;
        Ok(())
    }

    pub(super) fn pods(&self) -> Result<std::sync::Arc<dyn crate::Resource>, Status> {
        self.resources().find("", "v1", "pods").ok_or_else(|| Status::internal("there are no pods to speak of"))
    }
}

fn check(binding: &Object) -> Result<(), Status> {
    let path = field::Path::new("target");
    let mut errors = field::ErrorList::new();
    let target = |name: &str| binding.get_str(&["target", name]).unwrap_or_default();
    if !matches!(target("kind"), "" | "Node") {
        errors.push(field::Error::not_supported(&path.child("kind"), target("kind"), &["Node", "<empty>"]));
    }
    if target("name").is_empty() {
        errors.push(field::Error::required(&path.child("name"), ""));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::failure(500, Reason::Unknown, errors.to_string()))
}

fn assign(pod: &mut Object, binding: &Object, now: &str) -> Result<(), Status> {
    let refused = |why: String| Err(Status::conflict(&GroupResource::new("", "pods/binding"), pod.name(), &why));
    let name = pod.name();
    if !binding.uid().is_empty() && binding.uid() != pod.uid() {
        return refused(format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            binding.uid(),
            pod.uid()
        ));
    }
    if pod.deletion_timestamp().is_some() {
        return refused(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(node) = pod.get_str(&["spec", "nodeName"]).filter(|node| !node.is_empty()) {
        return refused(format!("pod {name} is already assigned to node {}", field::quote(node)));
    }
    if pod.get(&["spec", "schedulingGates"]).and_then(Value::as_array).is_some_and(|gates| !gates.is_empty()) {
        return refused(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod.remove(&["status", "nominatedNodeName"]);
    pod.set(&["spec", "nodeName"], binding.get_str(&["target", "name"]).unwrap_or_default());
    for (key, value) in binding.annotations() {
        pod.set(&["metadata", "annotations", key], value);
    }
    for (key, value) in binding.labels() {
        if pod.label(key).is_none() {
            pod.set(&["metadata", "labels", key], value);
        }
    }
    set_condition(pod, &json!({ "type": "PodScheduled", "status": "True" }), now);
    Ok(())
}

/// Sets a condition by its type; the time of transition stays where the status does.
pub(super) fn set_condition(pod: &mut Object, condition: &Value, now: &str) {
    let mut conditions = pod.get(&["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let place = conditions.iter().position(|other| other["type"] == condition["type"]);
    let mut condition = condition.clone();
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = match place.map(|place| &conditions[place]) {
        Some(before) if before["status"] == condition["status"] => before["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
    pod.set(&["status", "conditions"], conditions);
}
