//! `TaintNodesByCondition`: a node that comes into being takes no pods before it is ready.

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{Objects, Operation, Plugin, Request};

pub(crate) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    async fn mutate(&self, request: &Request<'_>, object: Option<&mut Object>, _: &dyn Objects) -> Result<(), Status> {
        let (Operation::Create, true, Some(node)) = (request.operation, request.is("nodes"), object) else {
            return Ok(());
        };
        const KEY: &str = "node.kubernetes.io/not-ready";
        let mut taints = node.get(&["spec", "taints"]).and_then(Value::as_array).cloned().unwrap_or_default();
        if !taints.iter().any(|t| t["key"] == KEY && t["effect"] == "NoSchedule") {
            taints.push(json!({"key": KEY, "effect": "NoSchedule"}));
            node.set(&["spec", "taints"], taints);
        }
        Ok(())
    }
}
