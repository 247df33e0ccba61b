//! A polite deletion of a pod, which says in the pod's status why it goes.

use apimachinery::{GroupVersion, Status};
use serde_json::{Value, json};

use super::binding::set_condition;
use crate::{Attributes, Body, DeleteOptions, Operation, Registry, RequestContext, Warnings, create::options, decode};

impl Registry {
    pub(super) async fn evict(&self, cx: &RequestContext, body: Body) -> Result<(), Status> {
        let mut eviction = decode::body(self.resources(), &expected(&body)?, cx, body)?;
        if !eviction.name().is_empty() && eviction.name() != cx.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let pods = self.pods()?;
        let create = options("CreateOptions", cx);
        let attributes = Attributes {
            operation: Operation::Create,
            resource: pods.as_ref(),
            subresource: "eviction",
            namespace: cx.namespace(),
            name: &cx.name,
            user: &cx.user,
            old: None,
            options: &create,
            dry_run: cx.dry_run,
            warnings: &cx.warnings,
        };
        self.admission().mutate(&attributes, Some(&mut eviction)).await?;
        self.admission().validate(&attributes, Some(&eviction)).await?;
        let asked = eviction.map().get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
        let dry_run = asked.get("dryRun").and_then(Value::as_array).is_some_and(|all| all.iter().any(|v| v == "All"));
        let delete: DeleteOptions = serde_json::from_value(asked).map_err(|e| Status::bad_request(e.to_string()))?;
        let deletion = RequestContext {
            user: cx.user.clone(),
            namespace: cx.namespace.clone(),
            name: cx.name.clone(),
            field_manager: cx.field_manager.clone(),
            user_agent: cx.user_agent.clone(),
            warnings: Warnings::default(),
            dry_run: cx.dry_run || dry_run,
            ..*cx
        };
        if !deletion.dry_run {
            let now = cx.timestamp();
            let condition = json!({
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            });
            let mark = |pod: &mut apimachinery::Object| {
                crate::delete::check_preconditions(pods.as_ref(), &cx.name, &delete, pod)?;
                set_condition(pod, &condition, &now);
                Ok(())
            };
            self.edit(&pods, &deletion, &cx.name, &mark).await?;
        }
        // The version named was checked above; marking the pod has just changed it.
        let mut delete = delete;
        if let Some(preconditions) = &mut delete.preconditions {
            preconditions.resource_version = None;
        }
        self.delete_one(&pods, &deletion, &delete).await.map(drop)
    }
}

/// Both versions of the group are understood; they say the same.
fn expected(body: &Body) -> Result<decode::Expected<'static>, Status> {
    let said = match body {
        Body::Tree(object) => object.api_version().to_owned(),
        Body::Json(bytes) => {
            let tree: Value = serde_json::from_slice(bytes).unwrap_or_default();
            tree.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    let version = GroupVersion::parse(&said).filter(|gv| gv.group == "policy" && gv.version == "v1beta1");
    let node = schema::builtin()
        .definition("io.k8s.api.policy.v1.Eviction")
        .ok_or_else(|| Status::internal("the schema lacks evictions"))?;
    let api_version = if version.is_some() { "policy/v1beta1" } else { "policy/v1" };
    Ok(decode::Expected { node, api_version: api_version.to_owned(), kind: "Eviction" })
}
