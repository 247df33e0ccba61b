//! `kubectl get`.

mod list;
mod watch;

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::{
    failure::{Failure, Result, refuse},
    output::{self, Columns, Format, Table, TableOptions},
    selection::{self, Selected},
    server::{JSON, Query, Server, TABLE, print, print_bytes},
};

#[derive(Args)]
pub(crate) struct Get {
    #[arg(value_name = "TYPE[/NAME]")]
    words: Vec<String>,
    /// Format: wide, yaml, json, name, jsonpath=…, custom-columns=…
    #[arg(short, long)]
    output: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    all_namespaces: bool,
    /// Label selector
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Field selector
    #[arg(long)]
    field_selector: Option<String>,
    /// Go on and show changes
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    watch: bool,
    /// Show changes only
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    watch_only: bool,
    /// Show what each change was
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    output_watch_events: bool,
    /// Sort lists by this JSONPath
    #[arg(long)]
    sort_by: Option<String>,
    /// Leave the header out
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    no_headers: bool,
    /// Show all labels in a column
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    show_labels: bool,
    /// Show these labels, each in a column
    #[arg(short = 'L', long, value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Put the type before the name
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    show_kind: bool,
    /// An absent object is no error
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    ignore_not_found: bool,
    /// Show who manages which field
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    show_managed_fields: bool,
    /// Objects asked for at a time
    #[arg(long, default_value_t = 500)]
    chunk_size: u32,
    /// Show the objects of these files
    #[arg(short, long)]
    filename: Vec<String>,
    /// Go down folders
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    recursive: bool,
    /// Show a subresource: status or scale
    #[arg(long)]
    subresource: Option<String>,
    /// Print what the server answers to this path
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
}

/// An object or a collection to show.
struct Target {
    selected: Selected,
    namespace: Option<String>,
}

impl Target {
    fn path(&self, subresource: Option<&str>) -> String {
        let namespace = self.namespace.as_deref();
        let path = match &self.selected.name {
            Some(name) => self.selected.resource.object_path(namespace, name),
            None => self.selected.resource.path(namespace),
        };
        subresource.map(|s| format!("{path}/{s}")).unwrap_or(path)
    }
}

impl Get {
    pub(crate) async fn run(self, server: &Server) -> Result {
        if let Some(path) = &self.raw {
            return print_bytes(&server.bytes(Method::GET, path, "application/json, */*", None).await?);
        }
        let mut format = Format::parse(self.output.as_deref(), true)?;
        if let Format::CustomColumns(columns) = &mut format {
            columns.no_headers = self.no_headers;
        }
        let targets = self.targets(server).await?;
        if self.watch || self.watch_only {
            return self.watch(server, &format, &targets).await;
        }
        match &format {
            Format::Table { wide } => self.tables(server, &targets, *wide).await,
            _ => self.objects(server, &format, &targets).await,
        }
    }

    async fn targets(&self, server: &Server) -> Result<Vec<Target>> {
        if !self.filename.is_empty() {
            let read = crate::manifest::read(server, &self.filename, self.recursive).await?;
            let target = |m: crate::manifest::Manifest| Target {
                selected: Selected { resource: m.resource, name: Some(m.name) },
                namespace: m.namespace,
            };
            return Ok(read.into_iter().map(target).collect());
        }
        if self.words.is_empty() {
            eprintln!(
                "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of \
                 supported resources.\n"
            );
            return refuse(
                "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description \
                of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples",
            );
        }
        let selected = selection::select(server, &self.words).await?;
        if selected.iter().any(|s| s.name.is_some()) {
            if self.all_namespaces {
                return refuse("a resource cannot be retrieved by name across all namespaces");
            }
            if self.selector.is_some() || self.field_selector.is_some() {
                return refuse("name cannot be provided when a selector is specified");
            }
        }
        let namespace = (!self.all_namespaces).then(|| server.namespace.clone());
        let target = |selected: Selected| {
            let namespace = namespace.clone().filter(|_| selected.resource.namespaced);
            Target { selected, namespace }
        };
        Ok(selected.into_iter().map(target).collect())
    }

    fn query(&self) -> Query {
        Query::default()
            .with_some("labelSelector", self.selector.as_deref())
            .with_some("fieldSelector", self.field_selector.as_deref())
    }

    fn table_options(&self, target: &Target, several: bool, wide: bool) -> TableOptions {
        TableOptions {
            wide,
            no_headers: self.no_headers,
            with_namespace: self.all_namespaces && target.selected.resource.namespaced,
            kind: (several || self.show_kind).then(|| target.selected.resource.singular_name()),
            show_labels: self.show_labels,
            label_columns: self.label_columns.clone(),
            event_types: self.output_watch_events,
        }
    }

    /// Tables, one for each type. Errors come after what could be shown.
    async fn tables(&self, server: &Server, targets: &[Target], wide: bool) -> Result {
        let several = selection::has_several_types(&targets.iter().map(|t| t.selected.clone()).collect::<Vec<_>>());
        let mut failures = Vec::new();
        let mut columns = Columns::default();
        let mut written = false;
        let mut at = 0;
        while at < targets.len() {
            let resource = &targets[at].selected.resource;
            let group = targets[at..].iter().take_while(|t| t.selected.resource == *resource).count();
            let mut whole: Option<Table> = None;
            for target in &targets[at..at + group] {
                match list::tables(self, server, target, wide).await {
                    Ok(table) => match &mut whole {
                        Some(whole) => whole.rows.extend(table.rows),
                        None => whole = Some(table),
                    },
                    Err(failure) if failure.is_not_found() && self.ignore_not_found => {}
                    Err(failure) => failures.push(failure),
                }
            }
            if let Some(mut table) = whole.filter(|t| !t.rows.is_empty()) {
                list::sort_rows(self.sort_by.as_deref(), &mut table)?;
                columns.forget();
                let blank = if written && !self.no_headers { "\n" } else { "" };
                let options = self.table_options(&targets[at], several, wide);
                print(&format!("{blank}{}", table.print(&options, true, &mut columns)))?;
                written = true;
            }
            at += group;
        }
        if !written && failures.is_empty() && !self.ignore_not_found {
            self.tell_of_nothing(server, targets);
        }
        Failure::several(failures)
    }

    fn tell_of_nothing(&self, server: &Server, targets: &[Target]) {
        if self.all_namespaces || targets.iter().all(|t| !t.selected.resource.namespaced) {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", server.namespace);
        }
    }

    /// One object, or a List of all.
    async fn objects(&self, server: &Server, format: &Format, targets: &[Target]) -> Result {
        let mut failures = Vec::new();
        let mut found = Vec::new();
        let single = targets.len() == 1 && targets[0].selected.name.is_some();
        for target in targets {
            match list::objects(self, server, target).await {
                Ok(objects) => found.extend(objects),
                Err(failure) if failure.is_not_found() && self.ignore_not_found => {}
                Err(failure) => failures.push(failure),
            }
        }
        if !self.show_managed_fields {
            found.iter_mut().for_each(output::without_managed_fields);
        }
        list::sort_objects(self.sort_by.as_deref(), &mut found)?;
        let nothing = found.is_empty() && (single || !failures.is_empty());
        if !nothing {
            let whole = if single { found.remove(0) } else { output::list_of(found) };
            print(&format.object(&whole)?)?;
        }
        Failure::several(failures)
    }

    async fn one(&self, server: &Server, target: &Target, accept: &str) -> Result<Value> {
        server.get(&target.path(self.subresource.as_deref()), accept).await
    }
}

const ACCEPT: (&str, &str) = (TABLE, JSON);
