//! `kubectl create -f`.

use clap::Args;
use http::Method;

use super::{
    apply,
    dry_run::{DryRun, Validate},
};
use crate::{
    failure::{Failure, Result, refuse},
    manifest,
    output::{self, Format},
    server::{JSON, Query, Server, print},
};

#[derive(Args)]
pub(crate) struct Create {
    /// Upstream's `create deployment` and its like are absent: write a manifest
    #[arg(hide = true)]
    words: Vec<String>,
    /// Files, folders, or - for standard input
    #[arg(short, long)]
    filename: Vec<String>,
    /// Go down folders
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    recursive: bool,
    /// Format of what is printed: name, yaml, json, jsonpath=…
    #[arg(short, long)]
    output: Option<String>,
    /// Change nothing
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// Remember the object in its annotation, for apply
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    save_config: bool,
    /// What to do with unknown fields: strict, warn or ignore
    #[arg(long, default_value = "strict", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
}

impl Create {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if let Some(kind) = self.words.first() {
            if !["namespace", "ns"].contains(&kind.as_str()) || self.words.len() != 2 {
                return refuse(format!(
                    "create {kind} is absent: this kubectl creates from files (-f), and namespaces"
                ));
            }
        } else if self.filename.is_empty() {
            return refuse("must specify one of -f and -k");
        }
        let format = self.output.as_deref().map(|o| Format::parse(Some(o), false)).transpose()?;
        let manifests = match self.words.get(1) {
            Some(name) => vec![namespace(server, name).await?],
            None => manifest::read(server, &self.filename, self.recursive).await?,
        };
        let mut failures = Vec::new();
        for manifest in manifests {
            let object =
                if self.save_config { apply::with_last_applied(&manifest.object) } else { manifest.object.clone() };
            let query = Query::default().with("fieldManager", "kubectl-create");
            let query = self.validate.query(self.dry_run.query(query));
            let path = query.on(&manifest.collection());
            let made = match self.dry_run {
                DryRun::Client => Ok(object),
                _ => server.call(Method::POST, &path, JSON, Some((JSON, &object))).await,
            };
            match made {
                Ok(mut made) => {
                    output::without_managed_fields(&mut made);
                    let name = manifest::text_at(&made, "/metadata/name");
                    let told = format!("{}/{name} created{}\n", manifest.resource.kind_name(), self.dry_run.suffix());
                    print(&format.as_ref().map_or(Ok(told), |f| f.object(&made))?)?;
                }
                Err(failure) if self.words.is_empty() => {
                    failures.push(failure.during(&format!("error when creating {:?}", manifest.source)));
                }
                Err(failure) => failures.push(failure),
            }
        }
        Failure::several(failures)
    }
}

async fn namespace(server: &Server, name: &str) -> Result<manifest::Manifest> {
    let resource = server.discovery().await?.find("namespaces")?.clone();
    let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    Ok(manifest::Manifest { object, resource, namespace: None, name: name.to_owned(), source: String::new() })
}
