//! `kubectl apply`: by a three-way merge against what was applied last, or by the server.

use apimachinery::LabelSelector;
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::dry_run::{DryRun, Validate};
use crate::{
    failure::{Failure, Result, refuse},
    manifest::{self, Manifest},
    output::{self, Format},
    server::{JSON, Query, Server, print},
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const CLIENT_MANAGER: &str = "kubectl-client-side-apply";
/// How often a patch is made anew because somebody else wrote first; upstream's number.
const MAX_CONFLICTS: usize = 5;

#[derive(Args)]
pub(crate) struct Apply {
    /// Files, folders, or - for standard input
    #[arg(short, long, required = true)]
    filename: Vec<String>,
    /// Go down folders
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    recursive: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Format of what is printed: name, yaml, json, jsonpath=…
    #[arg(short, long)]
    output: Option<String>,
    /// Change nothing: client prints what would be sent, server sends it and lets the server forget it
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// Let the server merge
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    server_side: bool,
    /// Take fields over from other managers
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    force_conflicts: bool,
    /// Name of the manager of the fields
    #[arg(long)]
    field_manager: Option<String>,
    /// What to do with unknown fields: strict, warn or ignore
    #[arg(long, default_value = "strict", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: Validate,
}

impl Apply {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if self.force_conflicts && !self.server_side {
            return refuse("--force-conflicts only works with --server-side");
        }
        if self.dry_run == DryRun::Client && self.server_side {
            return refuse("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
        }
        let format = self.output.as_deref().map(|o| Format::parse(Some(o), false)).transpose()?;
        let mut manifests = manifest::read(server, &self.filename, self.recursive).await?;
        if let Some(selector) = &self.selector {
            let selector = LabelSelector::parse(selector)
                .map_err(|e| Failure::Request { reason: format!("unable to parse requirement: {e}") })?;
            manifests.retain(|m| matches_labels(&selector, &m.object));
        }
        let mut failures = Vec::new();
        let mut printed = Vec::new();
        for manifest in &manifests {
            let done = if self.server_side {
                self.server_apply(server, manifest).await
            } else {
                self.client_apply(server, manifest).await
            };
            match (done, &format) {
                (Ok((_, what)), None) => {
                    let name = format!("{}/{}", manifest.resource.kind_name(), manifest.name);
                    print(&format!("{name} {what}{}\n", self.dry_run.suffix()))?;
                }
                (Ok((object, _)), Some(_)) => printed.push(object),
                (Err(failure), _) => failures.push(failure),
            }
        }
        if let Some(format) = format.filter(|_| !printed.is_empty()) {
            printed.iter_mut().for_each(output::without_managed_fields);
            let whole = if printed.len() == 1 { printed.remove(0) } else { output::list_of(printed) };
            print(&format.object(&whole)?)?;
        }
        Failure::several(failures)
    }

    async fn server_apply(&self, server: &Server, manifest: &Manifest) -> Result<(Value, &'static str)> {
        let manager = self.field_manager.as_deref().unwrap_or("kubectl");
        let query = Query::default().with("fieldManager", manager).with("force", &self.force_conflicts.to_string());
        let query = self.validate.query(self.dry_run.query(query));
        let body = Some(("application/apply-patch+yaml", &manifest.object));
        let answer = server.call(Method::PATCH, &query.on(&manifest.path()), JSON, body).await;
        let answer = answer.map_err(|failure| match failure {
            Failure::Server { mut status, .. } if status.reason == "Conflict" => {
                status.message = format!("{}\n{CONFLICTS}", status.message);
                Failure::Server { status, during: None }
            }
            other => other,
        })?;
        Ok((answer, "serverside-applied"))
    }

    async fn client_apply(&self, server: &Server, manifest: &Manifest) -> Result<(Value, &'static str)> {
        if manifest.name.is_empty() {
            let generate = manifest::text_at(&manifest.object, "/metadata/generateName");
            return refuse(if generate.is_empty() {
                "error when retrieving current configuration: resource name may not be empty".to_owned()
            } else {
                format!("from {generate}: cannot use generate name with apply")
            });
        }
        let modified = with_last_applied(&manifest.object);
        let looked = || {
            format!(
                "error when retrieving current configuration of:\n{}\nfrom server for: {:?}",
                about(manifest),
                manifest.source
            )
        };
        let mut current = match server.get(&manifest.path(), JSON).await {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => return self.create(server, manifest, &modified).await,
            Err(failure) => return Err(failure.during(&looked())),
        };
        if manifest::text_at(&current, &annotation_pointer()).is_empty() && !is_marked(&current) {
            eprintln!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. \
                 kubectl apply should only be used on resources created declaratively by either kubectl create \
                 --save-config or kubectl apply. The missing annotation will be patched automatically.",
                manifest.resource.plural, manifest.name
            );
        }
        for attempt in 1.. {
            let patch = three_way(&modified, &current)?;
            if patch == json!({}) {
                return Ok((current, "unchanged"));
            }
            if self.dry_run == DryRun::Client {
                return Ok((modified, "configured"));
            }
            match self.patch(server, manifest, &patch).await {
                Ok(object) => return Ok((object, "configured")),
                Err(failure) if failure.is_conflict() && attempt < MAX_CONFLICTS => {
                    current = server.get(&manifest.path(), JSON).await?;
                }
                Err(failure) => {
                    let what = format!(
                        "error when applying patch:\n{}\nto:\n{}\nfor: {:?}",
                        output::compact_json(&patch),
                        about(manifest),
                        manifest.source
                    );
                    return Err(failure.during(&format!("{what}: error when patching {:?}", manifest.source)));
                }
            }
        }
        refuse(format!("{}/{} changes too often to be patched", manifest.resource.plural, manifest.name))
    }

    async fn patch(&self, server: &Server, manifest: &Manifest, patch: &Value) -> Result<Value> {
        let manager = self.field_manager.as_deref().unwrap_or(CLIENT_MANAGER);
        let query = self.validate.query(self.dry_run.query(Query::default().with("fieldManager", manager)));
        let media = if schema_of(&manifest.object).is_some() {
            "application/strategic-merge-patch+json"
        } else {
            "application/merge-patch+json"
        };
        server.call(Method::PATCH, &query.on(&manifest.path()), JSON, Some((media, patch))).await
    }

    async fn create(&self, server: &Server, manifest: &Manifest, object: &Value) -> Result<(Value, &'static str)> {
        if self.dry_run == DryRun::Client {
            return Ok((object.clone(), "created"));
        }
        let manager = self.field_manager.as_deref().unwrap_or(CLIENT_MANAGER);
        let query = self.validate.query(self.dry_run.query(Query::default().with("fieldManager", manager)));
        let answer = server.call(Method::POST, &query.on(&manifest.collection()), JSON, Some((JSON, object))).await;
        Ok((
            answer.map_err(|failure| failure.during(&format!("error when creating {:?}", manifest.source)))?,
            "created",
        ))
    }
}

const CONFLICTS: &str = "Please review the fields above--they currently have other managers. Here\n\
    are the ways you can resolve this warning:\n\
    * If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n\
    * If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that \
    should keep their\n  current managers.\n\
    * You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the \
    manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\n\
    See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

fn about(manifest: &Manifest) -> String {
    let Manifest { resource, name, .. } = manifest;
    let gv = if resource.group.is_empty() { format!("/{}", resource.version) } else { resource.api_version() };
    format!(
        "Resource: {:?}, GroupVersionKind: {:?}\nName: {name:?}, Namespace: {:?}",
        format!("{gv}, Resource={}", resource.plural),
        format!("{gv}, Kind={}", resource.kind),
        manifest.namespace.as_deref().unwrap_or_default()
    )
}

fn annotation_pointer() -> String {
    format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"))
}

fn is_marked(object: &Value) -> bool {
    object.pointer(&annotation_pointer()).is_some()
}

fn matches_labels(selector: &LabelSelector, object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    selector.matches(|key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str))
}

/// The object with itself in its annotation.
pub(super) fn with_last_applied(object: &Value) -> Value {
    let mut bare = object.clone();
    let metadata = &mut bare["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = Value::Object(Map::new());
    }
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{}\n", output::compact_json(&bare));
    bare["metadata"]["annotations"][LAST_APPLIED] = text.into();
    bare
}

fn schema_of(object: &Value) -> Option<schema::Node<'static>> {
    let kind = manifest::gvk(object, "").ok()?;
    schema::builtin().by_gvk(&kind.group, &kind.version, &kind.kind)
}

fn three_way(modified: &Value, current: &Value) -> Result<Value> {
    let original = match manifest::text_at(current, &annotation_pointer()) {
        "" => json!({}),
        text => serde_json::from_str(text)
            .map_err(|e| Failure::Request { reason: format!("the annotation {LAST_APPLIED} is no JSON: {e}") })?,
    };
    Ok(merge::three_way_patch(schema_of(modified), &original, modified, current))
}
