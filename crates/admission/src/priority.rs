//! `Priority`: a pod's priority is what its class says, and only one class is the default.

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::Value;

use crate::{Gvr, Objects, Operation, Plugin, Request};

const CLASSES: Gvr<'static> = ("scheduling.k8s.io", "v1", "priorityclasses");
/// Upstream protects these in its storage; here they are what admission stands on.
const SYSTEM_CLASSES: [&str; 2] = ["system-node-critical", "system-cluster-critical"];
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

pub(crate) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        object: Option<&mut Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let of_classes = request.group == CLASSES.0 && request.resource == CLASSES.2;
        if of_classes && request.operation == Operation::Delete && SYSTEM_CLASSES.contains(&request.name) {
            let why = "this is a system priority class and cannot be deleted";
            return Err(Status::forbidden(&request.group_resource(), request.name, why));
        }
        let Some(pod) = object.filter(|_| request.is("pods")) else { return Ok(()) };
        match request.operation {
            Operation::Create => admit(request, pod, objects).await,
            Operation::Update => {
                keep(pod, request.old);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn validate(
        &self,
        request: &Request<'_>,
        object: Option<&Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        let Some(class) = object.filter(|_| request.group == CLASSES.0 && request.resource == CLASSES.2) else {
            return Ok(());
        };
        let is_default = class.get(&["globalDefault"]) == Some(&Value::Bool(true));
        if !is_default || !matches!(request.operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        match default_class(objects).await? {
            Some(other) if other.name() != class.name() => Err(request.forbidden(
                Some(class),
                &format!("PriorityClass {} is already marked as default. Only one default can exist", other.name()),
            )),
            _ => Ok(()),
        }
    }
}

/// An update that leaves out what admission set keeps it.
fn keep(pod: &mut Object, old: Option<&Object>) {
    for field in ["priority", "preemptionPolicy"] {
        let kept = old.and_then(|old| old.get(&["spec", field])).cloned();
        if let (true, Some(kept)) = (pod.get(&["spec", field]).is_none(), kept) {
            pod.set(&["spec", field], kept);
        }
    }
}

async fn admit(request: &Request<'_>, pod: &mut Object, objects: &dyn Objects) -> Result<(), Status> {
    let named = pod.get_str(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
    let class = if named.is_empty() {
        default_class(objects).await?
    } else {
        let class = objects.get(CLASSES, "", &named).await?;
        if class.is_none() {
            let why = format!("no PriorityClass with name {named} was found");
            return Err(request.forbidden(Some(pod), &why));
        }
        class
    };
    if let (true, Some(class)) = (named.is_empty(), &class) {
        pod.set(&["spec", "priorityClassName"], class.name());
    }
    let value = class.as_ref().and_then(|c| c.get(&["value"])).and_then(Value::as_i64).unwrap_or_default();
    let policy = class.as_ref().and_then(|c| c.get_str(&["preemptionPolicy"])).unwrap_or(DEFAULT_POLICY).to_owned();
    if let Some(given) = pod.get(&["spec", "priority"]).and_then(Value::as_i64)
        && given != value
    {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        );
        return Err(request.forbidden(Some(pod), &why));
    }
    pod.set(&["spec", "priority"], value);
    if let Some(given) = pod.get_str(&["spec", "preemptionPolicy"])
        && given != policy
    {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        );
        return Err(request.forbidden(Some(pod), &why));
    }
    pod.set(&["spec", "preemptionPolicy"], policy);
    Ok(())
}

/// The class of pods that name none: of several defaults the lowest.
async fn default_class(objects: &dyn Objects) -> Result<Option<Object>, Status> {
    let classes = objects.list(CLASSES, "").await?;
    let value = |class: &Object| class.get(&["value"]).and_then(Value::as_i64).unwrap_or_default();
    Ok(classes.into_iter().filter(|c| c.get(&["globalDefault"]) == Some(&Value::Bool(true))).min_by_key(value))
}
