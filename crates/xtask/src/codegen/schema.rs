//! Turns JSON-schema definitions into the text form that `schema::parse` reads. Facts only: names, types, merge
//! rules, enumerations; no descriptions.

mod untold;

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use untold::{POINTER_STRINGS, POINTERS, SCALARS, VALUE_STRINGS, VALUES, ZERO_IS_ABSENT};

pub(super) fn run(input: &Path, output: &Path) -> Result<()> {
    let document: Value = serde_json::from_slice(&fs::read(input).with_context(|| input.display().to_string())?)?;
    let definitions = definitions(&document)?;
    let mut text = String::from("# Written by `cargo xtask codegen schema`. Do not edit.\n");
    for (name, shape) in SCALARS {
        if !definitions.contains_key(*name) {
            bail!("{name} is gone: the input is not what this generator knows");
        }
        writeln!(text, "{name} as={shape}")?;
    }
    // What merges atomically is said before it is used.
    let (atomic, rest): (Vec<_>, Vec<_>) = definitions
        .iter()
        .filter(|(name, _)| SCALARS.iter().all(|(scalar, _)| scalar != name))
        .partition(|(_, definition)| definition.get("x-kubernetes-map-type").is_some());
    for (name, definition) in atomic.into_iter().chain(rest) {
        write_definition(&mut text, name, definition).with_context(|| name.clone())?;
    }
    schema_reads(&text)?;
    fs::write(output, text).with_context(|| output.display().to_string())
}

pub(super) fn definitions(document: &Value) -> Result<&Map<String, Value>> {
    let found = ["$defs", "definitions"].iter().find_map(|key| document[key].as_object());
    found.context("no definitions in the document")
}

/// The reader must take what was written; checked here so that a broken text is never committed.
fn schema_reads(text: &str) -> Result<()> {
    schema::parse(text)?;
    Ok(())
}

fn write_definition(text: &mut String, name: &str, definition: &Value) -> Result<()> {
    write!(text, "{name}")?;
    if let Some(map_type) = definition["x-kubernetes-map-type"].as_str() {
        write!(text, " map={map_type}")?;
    }
    let kinds = definition["x-kubernetes-group-version-kind"].as_array();
    // The options of requests are listed under every group; the reader finds them in all by itself.
    let everywhere = kinds.is_some_and(|k| k.len() > 1);
    for kind in kinds.into_iter().flatten() {
        let word = |key: &str| kind[key].as_str().with_context(|| format!("a kind without {key}"));
        let (group, version) = (word("group")?, word("version")?);
        if !everywhere || (group.is_empty() && version == "v1") {
            write!(text, " kind={group}/{version}/{}", word("kind")?)?;
        }
    }
    text.push('\n');
    let empty = Map::new();
    let required = definition["required"].as_array();
    for (field, property) in definition["properties"].as_object().unwrap_or(&empty) {
        write!(text, "\t{field} {}", type_of(property).with_context(|| field.clone())?)?;
        let required = required.is_some_and(|r| r.iter().any(|name| name == field.as_str()));
        if required {
            text.push_str(" required");
        }
        if is_value(name, field, property, required) {
            text.push_str(" value");
        }
        if !required && is_omitted(name, field, property)? {
            text.push_str(" omit");
        }
        write_words(text, field, property)?;
        text.push('\n');
    }
    Ok(())
}

fn is_value(definition: &str, field: &str, property: &Value, required: bool) -> bool {
    let Some(reference) = property["$ref"].as_str() else { return false };
    if SCALARS.iter().any(|(name, _)| reference.ends_with(name)) {
        return false;
    }
    let path = format!("{definition}.{field}");
    let listed = |list: &[&str]| list.iter().any(|end| path.ends_with(&format!(".{end}")));
    let usual = required || matches!(field, "metadata" | "spec" | "status");
    (usual && !listed(POINTERS)) || listed(VALUES)
}

/// Whether upstream leaves the field out when it is empty or zero.
fn is_omitted(definition: &str, field: &str, property: &Value) -> Result<bool> {
    let path = format!("{definition}.{field}");
    let listed = |list: &[&str]| list.iter().any(|end| path.ends_with(&format!(".{end}")));
    Ok(match type_of(property)?.as_str() {
        "s" => !listed(POINTER_STRINGS) || listed(VALUE_STRINGS),
        "bytes" => true,
        "i32" | "i64" | "b" => listed(ZERO_IS_ABSENT),
        of => of.starts_with(['[', '{']),
    })
}

fn write_words(text: &mut String, field: &str, property: &Value) -> Result<()> {
    let word = |key: &str| property[key].as_str();
    let list = |key: &str| property[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    match word("x-kubernetes-list-type") {
        Some("map") => {
            write!(text, " list=map:{}", list("x-kubernetes-list-map-keys").collect::<Vec<_>>().join(","))?;
        }
        Some(list_type) => write!(text, " list={list_type}")?,
        None => {}
    }
    if let Some(map_type) = word("x-kubernetes-map-type") {
        write!(text, " map={map_type}")?;
    }
    if let Some(strategy) = word("x-kubernetes-patch-strategy") {
        write!(text, " patch={strategy}")?;
    }
    if let Some(key) = word("x-kubernetes-patch-merge-key") {
        write!(text, " key={key}")?;
    }
    // The package adds an enumeration of one to these two; they are not upstream's.
    let values: Vec<_> = list("enum").collect();
    if !values.is_empty() && !matches!(field, "apiVersion" | "kind") {
        if values.iter().any(|v| v.contains([' ', '|'])) {
            bail!("{values:?} cannot be written");
        }
        write!(text, " enum={}", values.join("|"))?;
    }
    Ok(())
}

fn type_of(property: &Value) -> Result<String> {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return Ok(format!("&{name}"));
    }
    let one = property["type"].as_str();
    let many = property["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let kind = one.into_iter().chain(many).find(|t| *t != "null").context("no type")?;
    Ok(match (kind, property["format"].as_str()) {
        ("array", _) => format!("[]{}", type_of(&property["items"])?),
        ("object", _) => format!("{{}}{}", type_of(&property["additionalProperties"])?),
        ("string", Some("byte")) => "bytes".into(),
        ("string", None) => "s".into(),
        ("boolean", _) => "b".into(),
        ("integer", Some("int32")) => "i32".into(),
        ("integer", Some("int64")) => "i64".into(),
        ("number", _) => "f".into(),
        (kind, format) => bail!("unknown type {kind} {format:?}"),
    })
}
