//! `kubectl api-resources` and `kubectl api-versions`.

use clap::Args;

use crate::{
    discovery::Resource,
    failure::{Result, refuse},
    output::Columns,
    server::{Server, print},
};

#[derive(Args)]
pub(crate) struct ApiResources {
    /// Format: wide or name
    #[arg(short, long)]
    output: Option<String>,
    /// Only this group
    #[arg(long)]
    api_group: Option<String>,
    /// Only those in namespaces, or not in namespaces
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// Only those that take these verbs
    #[arg(long, value_delimiter = ',')]
    verbs: Vec<String>,
    /// Leave the header out
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    no_headers: bool,
}

impl ApiResources {
    pub(crate) async fn run(self, server: &Server) -> Result {
        let wide = match self.output.as_deref() {
            None | Some("") => false,
            Some("wide") => true,
            Some("name") => false,
            Some(other) => return refuse(format!("--output {other} is not available")),
        };
        // One version of each, the preferred.
        let mut preferred: Vec<&Resource> = Vec::new();
        for resource in &server.discovery().await?.resources {
            if !preferred.iter().any(|p| p.group == resource.group && p.plural == resource.plural) {
                preferred.push(resource);
            }
        }
        preferred.retain(|r| {
            self.api_group.as_ref().is_none_or(|g| *g == r.group)
                && self.namespaced.is_none_or(|n| n == r.namespaced)
                && self.verbs.iter().all(|v| r.allows(v))
        });
        preferred.sort_by_key(|r| (r.group.clone(), r.plural.clone()));
        if self.output.as_deref() == Some("name") {
            let names: Vec<String> = preferred.iter().map(|r| format!("{}\n", r.full_name())).collect();
            return print(&names.concat());
        }
        let mut rows = Vec::new();
        if !self.no_headers {
            let mut header = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
            if wide {
                header.extend(["VERBS", "CATEGORIES"]);
            }
            rows.push(header.into_iter().map(str::to_owned).collect());
        }
        for r in preferred {
            let mut row = vec![
                r.plural.clone(),
                r.short_names.join(","),
                r.api_version(),
                r.namespaced.to_string(),
                r.kind.clone(),
            ];
            if wide {
                row.extend([r.verbs.join(","), r.categories.join(",")]);
            }
            rows.push(row);
        }
        print(&Columns::default().lines(&rows))
    }
}

#[derive(Args)]
pub(crate) struct ApiVersions {}

impl ApiVersions {
    pub(crate) async fn run(self, server: &Server) -> Result {
        let mut versions: Vec<String> = server.discovery().await?.resources.iter().map(Resource::api_version).collect();
        versions.sort();
        versions.dedup();
        print(&format!("{}\n", versions.join("\n")))
    }
}
