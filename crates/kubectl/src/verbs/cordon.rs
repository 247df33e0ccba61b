//! `kubectl cordon` and `kubectl uncordon`.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::{
    failure::Result,
    server::{JSON, Server, print},
};

#[derive(Args)]
pub(crate) struct Nodes {
    #[arg(value_name = "NODE", required = true)]
    names: Vec<String>,
}

impl Nodes {
    pub(crate) async fn run(self, server: &Server, wanted: bool) -> Result {
        let nodes = server.discovery().await?.find("nodes")?.clone();
        let done = if wanted { "cordoned" } else { "uncordoned" };
        for name in self.names.iter().map(|name| name.trim_start_matches("node/")) {
            let path = nodes.object_path(None, name);
            let node = server.get(&path, JSON).await?;
            let is = node.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default();
            if is == wanted {
                print(&format!("node/{name} already {done}\n"))?;
                continue;
            }
            let patch = json!({"spec": {"unschedulable": if wanted { Value::Bool(true) } else { Value::Null }}});
            let media = "application/strategic-merge-patch+json";
            server.call(Method::PATCH, &path, JSON, Some((media, &patch))).await?;
            print(&format!("node/{name} {done}\n"))?;
        }
        Ok(())
    }
}
