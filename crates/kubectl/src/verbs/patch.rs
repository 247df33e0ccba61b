//! `kubectl patch`.

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;

use super::dry_run::DryRun;
use crate::{
    failure::{Failure, Result, refuse},
    manifest::text_at,
    output::{self, Format},
    selection,
    server::{JSON, Query, Server, print},
};

#[derive(Clone, Copy, ValueEnum)]
enum Type {
    Strategic,
    Merge,
    Json,
}

#[derive(Args)]
pub(crate) struct Patch {
    #[arg(value_name = "TYPE/NAME", required = true)]
    words: Vec<String>,
    /// The patch, JSON or YAML
    #[arg(short, long)]
    patch: Option<String>,
    /// File with the patch
    #[arg(long)]
    patch_file: Option<String>,
    /// How it is merged
    #[arg(long = "type", default_value = "strategic")]
    kind: Type,
    /// Patch a subresource: status or scale
    #[arg(long)]
    subresource: Option<String>,
    /// Format of what is printed
    #[arg(short, long)]
    output: Option<String>,
    /// Change nothing; the server answers what would be
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
}

impl Patch {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if self.dry_run == DryRun::Client {
            return refuse("--dry-run=client is absent for patch: use --dry-run=server");
        }
        let text = match (&self.patch, &self.patch_file) {
            (Some(text), None) => text.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|e| Failure::Request { reason: format!("unable to read patch file: {e}") })?,
            _ => return refuse("must specify --patch or --patch-file containing the contents of the patch"),
        };
        let patch: Value =
            serde_json::from_str(&text).or_else(|_| serde_saphyr::from_str(&text)).map_err(|e| Failure::Request {
                reason: format!("unable to parse {text:?}: {}", e.to_string().lines().next().unwrap_or_default()),
            })?;
        let media = match self.kind {
            Type::Strategic => "application/strategic-merge-patch+json",
            Type::Merge => "application/merge-patch+json",
            Type::Json => "application/json-patch+json",
        };
        let format = self.output.as_deref().map(|o| Format::parse(Some(o), false)).transpose()?;
        for selected in selection::select(server, &self.words).await? {
            let Some(name) = &selected.name else {
                return refuse("resource(s) were provided, but no name was specified");
            };
            let path = selected.resource.object_path(Some(&server.namespace), name);
            let before = server.get(&path, JSON).await?;
            let path = self.subresource.as_ref().map_or(path.clone(), |s| format!("{path}/{s}"));
            let query = self.dry_run.query(Query::default().with("fieldManager", "kubectl-patch"));
            let mut after = server.call(Method::PATCH, &query.on(&path), JSON, Some((media, &patch))).await?;
            let version = |object| text_at(object, "/metadata/resourceVersion").to_owned();
            let same = version(&before) == version(&after) && self.dry_run == DryRun::None;
            output::without_managed_fields(&mut after);
            let what = if same { "patched (no change)" } else { "patched" };
            let told = format!("{}/{name} {what}{}\n", selected.resource.kind_name(), self.dry_run.suffix());
            print(&format.as_ref().map_or(Ok(told), |f| f.object(&after))?)?;
        }
        Ok(())
    }
}
