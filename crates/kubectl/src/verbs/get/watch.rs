//! `-w`: the list, then every change.

use serde_json::Value;

use super::{ACCEPT, Get, Target, list};
use crate::{
    failure::{Result, refuse},
    output::{self, Columns, Format, Table},
    server::{Query, Server, print},
    waiting::Watch,
};

impl Get {
    pub(super) async fn watch(&self, server: &Server, format: &Format, targets: &[Target]) -> Result {
        let [target] = targets else {
            return refuse("you may only specify a single resource type");
        };
        match format {
            Format::Table { wide } => self.watch_tables(server, target, *wide).await,
            _ => self.watch_objects(server, format, target).await,
        }
    }

    /// The watch from `version` on: of one object by its name.
    fn watch_path(&self, target: &Target, version: &str) -> String {
        let query: Query = match &target.selected.name {
            Some(name) => Query::default().with("fieldSelector", &format!("metadata.name={name}")),
            None => self.query(),
        };
        let path = target.selected.resource.path(target.namespace.as_deref());
        query.with("resourceVersion", version).with("watch", "true").on(&path)
    }

    async fn watch_tables(&self, server: &Server, target: &Target, wide: bool) -> Result {
        let options = self.table_options(target, false, wide);
        let mut columns = Columns::default();
        let mut header = true;
        let first = list::tables(self, server, target, wide).await?;
        if !self.watch_only && !first.rows.is_empty() {
            let mut lines = Vec::new();
            if !self.no_headers {
                lines.push(first.header(&options));
            }
            lines.extend(first.rows.iter().map(|row| first.cells(row, &options, Some("ADDED"))));
            print(&columns.lines(&lines))?;
            header = false;
        }
        let version = match &target.selected.name {
            Some(_) => first.rows.first().and_then(|r| r.object.pointer("/metadata/resourceVersion")).cloned(),
            None => first.metadata.get("resourceVersion").cloned(),
        };
        let version = version.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut watch = Watch::start(server, &self.watch_path(target, &version), ACCEPT.0).await?;
        // Only the first event's table has column definitions.
        let mut shape = first;
        while let Some(event) = watch.next().await? {
            let Some(table) = Table::read(&event.object) else { continue };
            if !table.column_definitions.is_empty() {
                shape.column_definitions.clone_from(&table.column_definitions);
            }
            let mut lines = Vec::new();
            if header && !self.no_headers {
                lines.push(shape.header(&options));
            }
            header = false;
            lines.extend(table.rows.iter().map(|row| shape.cells(row, &options, Some(&event.kind))));
            print(&columns.lines(&lines))?;
        }
        Ok(())
    }

    async fn watch_objects(&self, server: &Server, format: &Format, target: &Target) -> Result {
        let path = target.path(None);
        let mut whole = server.get(&self.query().on(&path), ACCEPT.1).await?;
        let version = crate::manifest::text_at(&whole, "/metadata/resourceVersion").to_owned();
        let show = |mut object: Value, event: &str| -> Result {
            if !self.show_managed_fields {
                output::without_managed_fields(&mut object);
            }
            if self.output_watch_events {
                object = serde_json::json!({"type": event, "object": object});
            }
            let text = format.object(&object)?;
            print(if matches!(format, Format::Yaml) { format!("---\n{text}") } else { text }.as_str())
        };
        if !self.watch_only {
            match whole.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => {
                    let resource = &target.selected.resource;
                    for mut item in items {
                        item["apiVersion"] = resource.api_version().into();
                        item["kind"] = resource.kind.clone().into();
                        show(item, "ADDED")?;
                    }
                }
                _ => show(whole, "ADDED")?,
            }
        }
        let mut watch = Watch::start(server, &self.watch_path(target, &version), ACCEPT.1).await?;
        while let Some(event) = watch.next().await? {
            show(event.object, &event.kind)?;
        }
        Ok(())
    }
}
