//! The server's tables.

use serde::Deserialize;
use serde_json::Value;

use super::Columns;

#[derive(Clone, Debug, Default)]
pub(crate) struct TableOptions {
    pub(crate) wide: bool,
    pub(crate) no_headers: bool,
    pub(crate) with_namespace: bool,
    /// Put the type before the name.
    pub(crate) kind: Option<String>,
    pub(crate) show_labels: bool,
    pub(crate) label_columns: Vec<String>,
    pub(crate) event_types: bool,
}

/// What a server answers to a request for a table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Table {
    kind: String,
    pub(crate) metadata: Value,
    pub(crate) column_definitions: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Column {
    name: String,
    priority: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Value>,
    pub(crate) object: Value,
}

impl Table {
    /// None when the server answered with something else.
    pub(crate) fn read(answer: &Value) -> Option<Self> {
        let table: Self = serde_json::from_value(answer.clone()).ok()?;
        (table.kind == "Table").then_some(table)
    }

    pub(crate) fn header(&self, options: &TableOptions) -> Vec<String> {
        let mut cells = Vec::new();
        if options.event_types {
            cells.push("EVENT".to_owned());
        }
        if options.with_namespace {
            cells.push("NAMESPACE".to_owned());
        }
        cells.extend(self.shown(options).map(|(_, column)| column.name.to_uppercase()));
        let last = |label: &String| label.rsplit('/').next().unwrap_or(label).to_uppercase();
        cells.extend(options.label_columns.iter().map(last));
        if options.show_labels {
            cells.push("LABELS".to_owned());
        }
        cells
    }

    pub(crate) fn cells(&self, row: &Row, options: &TableOptions, event: Option<&str>) -> Vec<String> {
        let metadata = |key: &str| row.object.pointer(&format!("/metadata/{key}"));
        let mut cells = Vec::new();
        if options.event_types {
            cells.push(event.unwrap_or_default().to_owned());
        }
        if options.with_namespace {
            cells.push(metadata("namespace").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        for (place, _) in self.shown(options) {
            let mut text = row.cells.get(place).map(cell).unwrap_or_default();
            if let Some(kind) = options.kind.as_ref().filter(|_| place == 0) {
                text = format!("{kind}/{text}");
            }
            cells.push(text);
        }
        let labels = metadata("labels").and_then(Value::as_object);
        for name in &options.label_columns {
            let value = labels.and_then(|l| l.get(name)).and_then(Value::as_str);
            cells.push(value.unwrap_or_default().to_owned());
        }
        if options.show_labels {
            let pairs = labels.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
            let pairs: Vec<String> = pairs.collect();
            cells.push(if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") });
        }
        cells
    }

    fn shown<'a>(&'a self, options: &'a TableOptions) -> impl Iterator<Item = (usize, &'a Column)> {
        self.column_definitions.iter().enumerate().filter(|(_, c)| options.wide || c.priority == 0)
    }

    /// Header, unless it was printed, and rows.
    pub(crate) fn print(&self, options: &TableOptions, with_header: bool, columns: &mut Columns) -> String {
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if with_header && !options.no_headers {
            lines.push(self.header(options));
        }
        lines.extend(self.rows.iter().map(|row| self.cells(row, options, None)));
        columns.lines(&lines)
    }
}

/// The first line of a value; what follows is only hinted at.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    };
    match text.find(['\n', '\r', '\u{c}']) {
        Some(end) => format!("{}...", &text[..end]),
        None => text,
    }
}
