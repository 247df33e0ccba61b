//! `DefaultTolerationSeconds`: pods stay on a node that is gone for five minutes, unless they say otherwise.

use apimachinery::{Object, Status};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{Objects, Operation, Plugin, Request};

const SECONDS: i64 = 300;
const KEYS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(crate) struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    async fn mutate(&self, request: &Request<'_>, object: Option<&mut Object>, _: &dyn Objects) -> Result<(), Status> {
        let Some(pod) = object.filter(|_| request.is("pods")) else { return Ok(()) };
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        let mut tolerations = pod.get(&["spec", "tolerations"]).and_then(Value::as_array).cloned().unwrap_or_default();
        let before = tolerations.len();
        for key in KEYS {
            if !tolerations[..before].iter().any(|t| tolerates(t, key)) {
                tolerations.push(
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}),
                );
            }
        }
        if tolerations.len() > before {
            pod.set(&["spec", "tolerations"], tolerations);
        }
        Ok(())
    }
}

fn tolerates(toleration: &Value, key: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    matches!(text("effect"), "" | "NoExecute") && (text("key").is_empty() || text("key") == key)
}
