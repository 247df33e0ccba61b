//! `kubectl label` and `kubectl annotate`.

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    failure::{Failure, Result, refuse},
    manifest::text_at,
    selection,
    server::{JSON, Query, Server, print},
};

#[derive(Args)]
pub(crate) struct Pairs {
    /// TYPE NAME… or TYPE/NAME…, then KEY=VALUE to set and KEY- to remove
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// Replace values that are there
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    overwrite: bool,
    /// All objects of the type in the namespace
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all: bool,
    /// Label selector
    #[arg(short = 'l', long)]
    selector: Option<String>,
}

impl Pairs {
    /// `field` is `labels` or `annotations`; the others say what was done.
    pub(crate) async fn run(self, server: &Server, field: &str, set: &str, removed: &str) -> Result {
        let is_pair = |word: &String| word.contains('=') || word.ends_with('-');
        let (pairs, objects): (Vec<String>, Vec<String>) = self.words.iter().cloned().partition(is_pair);
        let mut changes = Map::new();
        for pair in &pairs {
            match pair.split_once('=') {
                Some((key, value)) => drop(changes.insert(key.to_owned(), value.into())),
                None => drop(changes.insert(pair.trim_end_matches('-').to_owned(), Value::Null)),
            }
        }
        if changes.is_empty() {
            return refuse(format!("at least one {} update is required", field.trim_end_matches('s')));
        }
        let mut found = Vec::new();
        for one in selection::select(server, &objects).await? {
            let namespace = Some(server.namespace.as_str());
            match &one.name {
                Some(name) => found
                    .push((one.resource.clone(), server.get(&one.resource.object_path(namespace, name), JSON).await?)),
                None if self.all || self.selector.is_some() => {
                    let query = Query::default().with_some("labelSelector", self.selector.as_deref());
                    let mut list = server.get(&query.on(&one.resource.path(namespace)), JSON).await?;
                    if let Value::Array(items) = list["items"].take() {
                        found.extend(items.into_iter().map(|item| (one.resource.clone(), item)));
                    }
                }
                None => return refuse("resource(s) were provided, but no name was specified"),
            }
        }
        if found.is_empty() {
            return refuse("one or more resources must be specified as <resource> <name> or <resource>/<name>");
        }
        let mut failures = Vec::new();
        for (resource, object) in found {
            let name = text_at(&object, "/metadata/name").to_owned();
            match self.change(server, field, &changes, &resource, &object).await {
                Ok(changed) => {
                    let what = match (changed, changes.values().all(Value::is_null)) {
                        (false, _) if field == "labels" => "not labeled",
                        (_, true) => removed,
                        _ => set,
                    };
                    print(&format!("{}/{name} {what}\n", resource.kind_name()))?;
                }
                Err(failure) => failures.push(failure),
            }
        }
        Failure::several(failures)
    }

    /// Whether anything changed.
    async fn change(
        &self,
        server: &Server,
        field: &str,
        changes: &Map<String, Value>,
        resource: &crate::discovery::Resource,
        object: &Value,
    ) -> Result<bool> {
        let now = object.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        let current = |key: &String| now.and_then(|map| map.get(key));
        for (key, value) in changes {
            if let Some(is) = current(key).filter(|is| !value.is_null() && *is != value && !self.overwrite) {
                let is = is.as_str().unwrap_or_default();
                if field == "labels" {
                    return refuse(format!("'{key}' already has a value ({is}), and --overwrite is false"));
                }
                return refuse(format!(
                    "--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({is})"
                ));
            }
        }
        for key in changes.iter().filter(|(key, value)| value.is_null() && current(key).is_none()).map(|(key, _)| key) {
            eprintln!("{} {key:?} not found.", field.trim_end_matches('s'));
        }
        if changes.iter().all(|(key, value)| current(key) == Some(value) || value.is_null() && current(key).is_none()) {
            return Ok(false);
        }
        let path = resource.object_path(
            Some(text_at(object, "/metadata/namespace")).filter(|n| !n.is_empty()),
            text_at(object, "/metadata/name"),
        );
        let patch = json!({"metadata": {field: changes}});
        let manager = if field == "labels" { "kubectl-label" } else { "kubectl-annotate" };
        let query = Query::default().with("fieldManager", manager);
        server.call(Method::PATCH, &query.on(&path), JSON, Some(("application/merge-patch+json", &patch))).await?;
        Ok(true)
    }
}
