//! How objects are printed: `-o`.

mod columns;
mod custom_columns;
mod json;
mod jsonpath;
mod table;
mod yaml;

use serde_json::{Value, json};

pub(crate) use columns::Columns;
pub(crate) use custom_columns::CustomColumns;
pub(crate) use jsonpath::{JsonPath, compare, relaxed};
pub(crate) use table::{Table, TableOptions};

use crate::failure::{Failure, Result};

/// What `-o` says.
pub(crate) enum Format {
    Table { wide: bool },
    Json,
    Yaml,
    Name,
    JsonPath { template: JsonPath, as_json: bool },
    CustomColumns(CustomColumns),
}

const FORMATS: &str = "custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,wide,yaml";

impl Format {
    /// `tables` says whether the verb prints tables.
    pub(crate) fn parse(typed: Option<&str>, tables: bool) -> Result<Self> {
        let typed = typed.unwrap_or_default();
        let (name, argument) = match typed.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (typed, None),
        };
        let file = |path: &str| {
            std::fs::read_to_string(path)
                .map_err(|e| Failure::Request { reason: format!("error reading template {path}, {e}") })
        };
        let needs = |what: &str| Failure::Request { reason: format!("{name} format specified but no {what} given") };
        Ok(match (name, argument) {
            ("", _) if tables => Self::Table { wide: false },
            ("wide", None) if tables => Self::Table { wide: true },
            ("json", None) => Self::Json,
            ("yaml", None) => Self::Yaml,
            ("name", None) => Self::Name,
            ("jsonpath", Some(text)) => Self::JsonPath { template: JsonPath::parse(text)?, as_json: false },
            ("jsonpath-as-json", Some(text)) => Self::JsonPath { template: JsonPath::parse(text)?, as_json: true },
            ("jsonpath-file", Some(path)) => {
                Self::JsonPath { template: JsonPath::parse(file(path)?.trim_end())?, as_json: false }
            }
            ("jsonpath" | "jsonpath-as-json" | "jsonpath-file", None) => {
                return Err(Failure::Request { reason: "template format specified but no template given".to_owned() });
            }
            ("custom-columns", Some(text)) => Self::CustomColumns(CustomColumns::parse(text)?),
            ("custom-columns-file", Some(path)) => Self::CustomColumns(CustomColumns::from_file(&file(path)?)?),
            ("custom-columns" | "custom-columns-file", None) => return Err(needs("custom columns")),
            _ => {
                return Err(Failure::Request {
                    reason: format!(
                        "unable to match a printer suitable for the output format {typed:?}, allowed formats are: {FORMATS}"
                    ),
                });
            }
        })
    }

    /// One object in a format that is no table.
    pub(crate) fn object(&self, object: &Value) -> Result<String> {
        Ok(match self {
            Self::Table { .. } => String::new(),
            Self::Json => json::pretty(object),
            Self::Yaml => yaml::document(object),
            Self::Name => names(object),
            Self::JsonPath { template, as_json: false } => template.print(object)?,
            Self::JsonPath { template, as_json: true } => json::pretty(&Value::Array(template.values(object)?)),
            Self::CustomColumns(columns) => columns.print(object),
        })
    }
}

/// `pod/x`, a line for each object.
fn names(object: &Value) -> String {
    match object.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().map(names).collect(),
        None => format!("{}\n", name_of(object)),
    }
}

/// `deployment.apps/web`: kind and group in lower case, and the name.
pub(crate) fn name_of(object: &Value) -> String {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind").to_lowercase();
    match text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// Several objects as the one that is printed for them.
pub(crate) fn list_of(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})
}

/// What a person does not want to see unless asked for.
pub(crate) fn without_managed_fields(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    if let Some(Value::Array(items)) = object.get_mut("items") {
        items.iter_mut().for_each(without_managed_fields);
    }
}

/// YAML of anything, for verbs that print no objects.
pub(crate) fn yaml(value: &Value) -> String {
    yaml::document(value).trim_start_matches("---\n").to_owned()
}

/// JSON in one line as Go writes it.
pub(crate) fn compact_json(value: &Value) -> String {
    json::compact(value)
}
