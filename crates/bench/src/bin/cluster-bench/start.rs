//! From the start of the executable to an API that answers, and to a node that is ready.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Node;

use crate::{
    api::{Events, connect, inside},
    quantile, report,
};

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Each time the daemon is killed before, so that it recovers too.
pub(crate) fn measure(node: &mut Node, times: usize) -> anyhow::Result<()> {
    let (mut answers, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..times {
        node.kill();
        let began = Instant::now();
        node.launch();
        let kubeconfig = node.kubeconfig();
        let (answered, became_ready) = inside(node, || async move {
            let client = connect(&kubeconfig).await?;
            while client.get_bytes("/readyz", "text/plain").await.is_err() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let answered = began.elapsed();
            let mut events = Events::of(&client, "/api/v1/nodes").await?;
            while !is_ready(&events.next().await?["object"]) {}
            Ok((answered, began.elapsed()))
        })?;
        answers.push(answered);
        ready.push(became_ready);
    }
    let figures = json!({
        "readyz_p50_ms": quantile(&answers, 0.5), "readyz_max_ms": quantile(&answers, 1.0),
        "node_ready_p50_ms": quantile(&ready, 0.5), "node_ready_max_ms": quantile(&ready, 1.0), "starts": times,
    });
    report("start", figures);
    Ok(())
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|each| each["type"] == "Ready" && each["status"] == "True"))
}
