//! `kubectl scale`.

use clap::Args;
use http::Method;
use serde_json::json;

use crate::{
    failure::{Failure, Result, refuse},
    manifest,
    selection::{self, Selected},
    server::{JSON, Query, Server, print},
};

#[derive(Args)]
pub(crate) struct Scale {
    #[arg(value_name = "TYPE/NAME")]
    words: Vec<String>,
    /// How many
    #[arg(long)]
    replicas: i32,
    /// Only if there are so many now
    #[arg(long)]
    current_replicas: Option<i64>,
    /// Files, folders, or - for standard input
    #[arg(short, long)]
    filename: Vec<String>,
}

impl Scale {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if self.replicas < 0 {
            return refuse("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
        }
        let selected = if self.filename.is_empty() {
            selection::select(server, &self.words).await?
        } else {
            let read = manifest::read(server, &self.filename, false).await?;
            read.into_iter().map(|m| Selected { resource: m.resource, name: Some(m.name) }).collect()
        };
        if selected.is_empty() {
            return refuse("you must specify a resource to scale: TYPE/NAME, or -f FILE");
        }
        for one in selected {
            let Some(name) = &one.name else { return refuse("resource(s) were provided, but no name was specified") };
            let path = format!("{}/scale", one.resource.object_path(Some(&server.namespace), name));
            if let Some(expected) = self.current_replicas {
                let scale = server.get(&path, JSON).await?;
                let current = scale.pointer("/spec/replicas").and_then(serde_json::Value::as_i64).unwrap_or_default();
                if current != expected {
                    return refuse(format!("Expected replicas to be {expected}, was {current}"));
                }
            }
            let patch = json!({"spec": {"replicas": self.replicas}});
            let query = Query::default().with("fieldManager", "kubectl-scale");
            let body = Some(("application/merge-patch+json", &patch));
            server.call(Method::PATCH, &query.on(&path), JSON, body).await.map_err(|failure| match failure {
                Failure::Server { status, .. } if status.code == 404 => {
                    Failure::Request { reason: format!("no objects passed to scale {}", status.message) }
                }
                other => other,
            })?;
            print(&format!("{}/{name} scaled\n", one.resource.kind_name()))?;
        }
        Ok(())
    }
}
