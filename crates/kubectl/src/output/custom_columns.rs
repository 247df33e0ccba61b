//! `-o custom-columns`: a header and a path for each column.

use serde_json::Value;

use super::{Columns, JsonPath, jsonpath::relaxed};
use crate::failure::{Result, refuse};

#[derive(Debug)]
pub(crate) struct CustomColumns {
    columns: Vec<(String, JsonPath)>,
    pub(crate) no_headers: bool,
}

impl CustomColumns {
    /// `NAME:.metadata.name,IMAGE:.spec.containers[*].image`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return refuse("custom-columns format specified but no custom columns given");
        }
        let mut columns = Vec::new();
        for part in text.split(',') {
            let Some((header, path)) = part.split_once(':') else {
                return refuse(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((header.to_owned(), relaxed(path)?));
        }
        Ok(Self { columns, no_headers: false })
    }

    /// Headers in the first line, paths below them.
    pub(crate) fn from_file(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let (Some(headers), Some(paths)) = (lines.next(), lines.next()) else {
            return refuse("invalid template, missing second line. Expected two lines with headers and paths");
        };
        let (headers, paths): (Vec<_>, Vec<_>) =
            (headers.split_whitespace().collect(), paths.split_whitespace().collect());
        if headers.len() != paths.len() {
            return refuse(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                headers.len(),
                paths.len()
            ));
        }
        let columns =
            headers.into_iter().zip(paths).map(|(h, p)| Ok((h.to_owned(), relaxed(p)?))).collect::<Result<_>>()?;
        Ok(Self { columns, no_headers: false })
    }

    pub(crate) fn print(&self, object: &Value) -> String {
        let mut rows = Vec::new();
        if !self.no_headers {
            rows.push(self.columns.iter().map(|(header, _)| header.clone()).collect());
        }
        rows.extend(self.rows(object));
        Columns::default().lines(&rows)
    }

    pub(crate) fn rows(&self, object: &Value) -> Vec<Vec<String>> {
        match object.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().map(|item| self.row(item)).collect(),
            None => vec![self.row(object)],
        }
    }

    fn row(&self, object: &Value) -> Vec<String> {
        let value = |path: &JsonPath| {
            let values = path.values(object).unwrap_or_default();
            let texts: Vec<String> = values.iter().map(go_text).collect();
            if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") }
        };
        self.columns.iter().map(|(_, path)| value(path)).collect()
    }
}

/// As Go prints values: maps and lists in its own way.
fn go_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Array(_) | Value::Object(_) => merge::go_print(value),
        other => other.to_string(),
    }
}
