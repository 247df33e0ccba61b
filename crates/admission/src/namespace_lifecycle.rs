//! `NamespaceLifecycle`: nothing is made in a namespace that is absent or on its way out, and the first namespaces
//! stay.

use apimachinery::{Cause, GroupResource, Object, Status};
use async_trait::async_trait;

use crate::{Objects, Operation, Plugin, Request};

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(crate) struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        object: Option<&mut Object>,
        objects: &dyn Objects,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete && request.is("namespaces") && IMMORTAL.contains(&request.name) {
            return Err(Status::forbidden(
                &request.group_resource(),
                request.name,
                "this namespace may not be deleted",
            ));
        }
        let is_namespace = request.group.is_empty() && request.resource == "namespaces";
        if !request.namespaced || request.namespace.is_empty() || is_namespace || request.operation == Operation::Delete
        {
            return Ok(());
        }
        let found = objects.get(("", "v1", "namespaces"), "", request.namespace).await?;
        let Some(namespace) = found else {
            return Err(Status::not_found(&GroupResource::new("", "namespaces"), request.namespace));
        };
        let terminating =
            namespace.get_str(&["status", "phase"]) == Some("Terminating") || namespace.deletion_timestamp().is_some();
        if request.operation == Operation::Create && terminating {
            return Err(terminating_error(request, object.as_deref()));
        }
        Ok(())
    }
}

fn terminating_error(request: &Request<'_>, object: Option<&Object>) -> Status {
    let namespace = request.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = request.forbidden(object, &why);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
    }
    status
}
