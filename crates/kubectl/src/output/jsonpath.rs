//! JSONPath templates as kubectl has them: text, paths in braces, filters, ranges.

mod evaluate;
mod order;
mod parse;

use serde_json::Value;

pub(crate) use order::compare;

use super::json;
use crate::failure::{Result, refuse};

/// A template, read.
#[derive(Clone, Debug)]
pub(crate) struct JsonPath {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// Values printed one after the other.
    Path(Vec<Step>),
    Range {
        over: Vec<Step>,
        body: Vec<Part>,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Root,
    Field(String),
    Wildcard,
    Recursive,
    Slice { start: Option<i64>, end: Option<i64>, step: Option<i64> },
    Union(Vec<Vec<Step>>),
    Filter { left: Operand, operator: Operator, right: Operand },
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Constant(Value),
    None,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match parse::template(text) {
            Ok(parts) => Ok(Self { parts }),
            Err(reason) => refuse(format!("error parsing jsonpath {text}, {reason}")),
        }
    }

    /// The template with its paths replaced.
    pub(crate) fn print(&self, object: &Value) -> Result<String> {
        let mut out = String::new();
        evaluate::print(&self.parts, object, object, &mut out)
            .or_else(|reason| refuse(format!("error executing jsonpath: {reason}")))?;
        Ok(out)
    }

    /// What all paths of the template find.
    pub(crate) fn values(&self, object: &Value) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        evaluate::collect(&self.parts, object, object, &mut found)
            .or_else(|reason| refuse(format!("error executing jsonpath: {reason}")))?;
        Ok(found)
    }
}

/// A path as people write it for sorting and columns: braces and the first dot may be left out.
pub(crate) fn relaxed(text: &str) -> Result<JsonPath> {
    if text.is_empty() {
        return Ok(JsonPath { parts: Vec::new() });
    }
    let bare = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    if bare.contains(['{', '}']) {
        return refuse(String::from(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'",
        ));
    }
    let path = bare.strip_prefix('.').unwrap_or(bare);
    JsonPath::parse(&format!("{{.{path}}}"))
}

/// One found value as it is printed.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => json::compact(other),
    }
}

#[cfg(test)]
mod tests;
