//! `kubectl delete`.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::dry_run::DryRun;
use crate::{
    discovery::Resource,
    failure::{Failure, Result, refuse},
    manifest, selection,
    server::{JSON, Query, Server, print},
    waiting,
};

/// A wait without a limit ends after a week, as upstream's does.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const IMMEDIATELY: &str = "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
    terminated. The resource may continue to run on the cluster indefinitely.";

#[derive(Args)]
pub(crate) struct Delete {
    #[arg(value_name = "TYPE[/NAME]")]
    words: Vec<String>,
    /// Files, folders, or - for standard input
    #[arg(short, long)]
    filename: Vec<String>,
    /// Go down folders
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    recursive: bool,
    /// Label selector
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Field selector
    #[arg(long)]
    field_selector: Option<String>,
    /// All objects of the type in the namespace
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all: bool,
    /// In all namespaces
    #[arg(short = 'A', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all_namespaces: bool,
    /// Seconds the object has to end; -1 for its own
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    grace_period: i64,
    /// Remove the object at once, without waiting for its end
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    force: bool,
    /// One second of grace
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    now: bool,
    /// What happens to dependents: background, foreground or orphan
    #[arg(long, default_value = "background", num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    cascade: String,
    /// Return when the objects are gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    wait: bool,
    /// How long to wait, such as 30s; 0 for a week
    #[arg(long)]
    timeout: Option<String>,
    /// An absent object is no error
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ignore_not_found: Option<bool>,
    /// Format: name
    #[arg(short, long)]
    output: Option<String>,
    /// Change nothing
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
}

/// One object to delete.
struct Doomed {
    resource: Resource,
    namespace: Option<String>,
    name: String,
}

impl Doomed {
    fn path(&self) -> String {
        self.resource.object_path(self.namespace.as_deref(), &self.name)
    }
}

impl Delete {
    pub(crate) async fn run(mut self, server: &Server) -> Result {
        self.settle_grace()?;
        if !matches!(self.output.as_deref(), None | Some("name")) {
            return refuse(format!(
                "unexpected -o output mode: {}. We only support '-o name'",
                self.output.unwrap_or_default()
            ));
        }
        let limit = self.timeout.as_deref().map(super::logs::duration).transpose()?.filter(|d| !d.is_zero());
        let by_name = !self.words.is_empty() || !self.filename.is_empty();
        if !by_name {
            return refuse("you must provide one or more resources by argument or filename");
        }
        let (doomed, named) = self.doomed(server).await?;
        if doomed.is_empty() && !named {
            return print("No resources found\n");
        }
        if self.force && self.grace_period == 0 && self.dry_run == DryRun::None {
            eprintln!("{IMMEDIATELY}");
        }
        let ignore = self.ignore_not_found.unwrap_or(!named);
        let (mut failures, mut deleted) = (Vec::new(), Vec::new());
        for object in doomed {
            match self.delete(server, &object).await {
                Ok(uid) => {
                    self.tell(&object)?;
                    deleted.push((object, uid));
                }
                Err(failure) if failure.is_not_found() && ignore => {}
                Err(failure) if !self.filename.is_empty() => {
                    failures.push(failure);
                }
                Err(failure) => failures.push(failure),
            }
        }
        if self.wait && self.dry_run == DryRun::None {
            for (object, uid) in deleted {
                let done = waiting::until_gone(server, &object.path(), &object.name, &uid, limit.unwrap_or(WEEK)).await;
                // Whoever may not read an object cannot see it go.
                if let Err(failure) = done.or_else(|f| if f.reason() == "Forbidden" { Ok(()) } else { Err(f) }) {
                    failures.push(failure);
                }
            }
        }
        Failure::several(failures)
    }

    /// `--now` and `--force` are ways to say a grace period.
    fn settle_grace(&mut self) -> Result {
        if self.now {
            if self.grace_period != -1 {
                return refuse("--now and --grace-period cannot be specified together");
            }
            self.grace_period = 1;
        }
        if self.force && self.grace_period < 0 {
            self.grace_period = 0;
        }
        if self.force && self.grace_period > 0 {
            return refuse("--force and --grace-period greater than 0 cannot be specified together");
        }
        if self.grace_period == 0 && !self.force {
            // Without force the object is given the shortest end there is, and waited for.
            self.grace_period = 1;
        }
        if self.selector.is_some() && self.all {
            return refuse("cannot set --all and --selector at the same time");
        }
        Ok(())
    }

    /// What to delete, and whether each was named.
    async fn doomed(&self, server: &Server) -> Result<(Vec<Doomed>, bool)> {
        if !self.filename.is_empty() {
            let read = manifest::read(server, &self.filename, self.recursive).await?;
            let one = |m: manifest::Manifest| Doomed { resource: m.resource, namespace: m.namespace, name: m.name };
            return Ok((read.into_iter().map(one).collect(), true));
        }
        let selects = self.all || self.selector.is_some() || self.field_selector.is_some();
        let selected = selection::select(server, &self.words).await?;
        let mut doomed = Vec::new();
        let mut named = false;
        for one in selected {
            let namespace = (one.resource.namespaced && !self.all_namespaces).then(|| server.namespace.clone());
            match one.name {
                Some(_) if selects => return refuse("name cannot be provided when a selector is specified"),
                Some(name) => {
                    named = true;
                    doomed.push(Doomed { resource: one.resource, namespace, name });
                }
                None if !selects => {
                    return refuse("resource(s) were provided, but no name was specified");
                }
                None if !one.resource.allows("delete") => {}
                None => doomed.extend(self.listed(server, &one.resource, namespace.as_deref()).await?),
            }
        }
        Ok((doomed, named))
    }

    async fn listed(&self, server: &Server, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Doomed>> {
        let query = Query::default()
            .with_some("labelSelector", self.selector.as_deref())
            .with_some("fieldSelector", self.field_selector.as_deref());
        let list = server.get(&query.on(&resource.path(namespace)), JSON).await?;
        let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let one = |item: &Value| Doomed {
            resource: resource.clone(),
            namespace: Some(manifest::text_at(item, "/metadata/namespace").to_owned()).filter(|n| !n.is_empty()),
            name: manifest::text_at(item, "/metadata/name").to_owned(),
        };
        Ok(items.iter().map(one).collect())
    }

    /// Answers with the object's uid.
    async fn delete(&self, server: &Server, object: &Doomed) -> Result<String> {
        if self.dry_run == DryRun::Client {
            server.get(&object.path(), JSON).await?;
            return Ok(String::new());
        }
        let policy = match self.cascade.as_str() {
            "background" | "true" => "Background",
            "foreground" => "Foreground",
            "orphan" | "false" => "Orphan",
            other => {
                return refuse(format!(
                    "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
                ));
            }
        };
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        if self.grace_period >= 0 {
            options["gracePeriodSeconds"] = self.grace_period.into();
        }
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        let answer = server.call(Method::DELETE, &object.path(), JSON, Some((JSON, &options))).await?;
        let uid = [manifest::text_at(&answer, "/details/uid"), manifest::text_at(&answer, "/metadata/uid")];
        Ok(uid.into_iter().find(|uid| !uid.is_empty()).unwrap_or_default().to_owned())
    }

    fn tell(&self, object: &Doomed) -> Result {
        let kind = object.resource.kind_name();
        if self.output.is_some() {
            return print(&format!("{kind}/{}\n", object.name));
        }
        let deleted = if self.grace_period == 0 { "force deleted" } else { "deleted" };
        let from = object.namespace.as_ref().map(|n| format!(" from {n} namespace")).unwrap_or_default();
        print(&format!("{kind} {:?} {deleted}{from}{}\n", object.name, self.dry_run.suffix()))
    }
}
