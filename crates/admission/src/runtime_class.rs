//! `RuntimeClass`: a pod that asks for a runtime asks for one there is. What the class says of overhead and placement
//! becomes the pod's.

use apimachinery::{Object, Status, field::quote};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Objects, Operation, Plugin, Request};

pub(crate) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        object: Option<&mut Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let (Operation::Create, true, Some(pod)) = (request.operation, request.is("pods"), object) else {
            return Ok(());
        };
        let Some(name) = pod.get_str(&["spec", "runtimeClassName"]).filter(|name| !name.is_empty()) else {
            if pod.get(&["spec", "overhead"]).and_then(Value::as_object).is_some_and(|o| !o.is_empty()) {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                return Err(request.forbidden(Some(pod), why));
            }
            return Ok(());
        };
        let name = name.to_owned();
        let Some(class) = objects.get(("node.k8s.io", "v1", "runtimeclasses"), "", &name).await? else {
            let why = format!("pod rejected: RuntimeClass {} not found", quote(&name));
            return Err(request.forbidden(Some(pod), &why));
        };
        if let Some(overhead) = class.get(&["overhead", "podFixed"]) {
            pod.set(&["spec", "overhead"], overhead.clone());
        }
        merge_scheduling(&class, pod);
        Ok(())
    }
}

fn merge_scheduling(class: &Object, pod: &mut Object) {
    for (key, value) in class.get(&["scheduling", "nodeSelector"]).and_then(Value::as_object).into_iter().flatten() {
        pod.set(&["spec", "nodeSelector", key], value.clone());
    }
    let added = class.get(&["scheduling", "tolerations"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut tolerations = pod.get(&["spec", "tolerations"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let before = tolerations.len();
    for toleration in added {
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    if tolerations.len() > before {
        pod.set(&["spec", "tolerations"], tolerations);
    }
}
