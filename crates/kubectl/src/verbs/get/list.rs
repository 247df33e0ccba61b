//! Lists in pages, and their order.

use serde_json::Value;

use super::{ACCEPT, Get, Target};
use crate::{
    failure::{Failure, Result, refuse},
    output::{Table, compare, relaxed},
    server::Server,
};

/// The rows of one target, all pages. Sorting needs the whole objects.
pub(super) async fn tables(get: &Get, server: &Server, target: &Target, wide: bool) -> Result<Table> {
    // Wide or not, the server sends all columns.
    let _ = wide;
    let include = if get.sort_by.is_some() { "Object" } else { "Metadata" };
    let read = |answer: &Value| match Table::read(answer) {
        Some(table) => Ok(table),
        None => refuse(format!(
            "the server at {} answers no table for {}",
            server.host,
            target.selected.resource.full_name()
        )),
    };
    if target.selected.name.is_some() {
        return read(&get.one(server, target, ACCEPT.0).await?);
    }
    let mut whole: Option<Table> = None;
    let mut next = String::new();
    loop {
        let query = get.query().with("includeObject", include).with("limit", &get.chunk_size.to_string());
        let path = query.with_some("continue", Some(&next)).on(&target.path(None));
        let page = server.get(&path, ACCEPT.0).await.map_err(|failure| about(get, target, failure))?;
        let page = read(&page)?;
        next = page.metadata.get("continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        match &mut whole {
            Some(whole) => whole.rows.extend(page.rows),
            None => whole = Some(page),
        }
        if next.is_empty() {
            return Ok(whole.unwrap_or_default());
        }
    }
}

/// The objects of one target, all pages, each with its kind.
pub(super) async fn objects(get: &Get, server: &Server, target: &Target) -> Result<Vec<Value>> {
    if target.selected.name.is_some() {
        return Ok(vec![get.one(server, target, ACCEPT.1).await?]);
    }
    let mut all = Vec::new();
    let mut next = String::new();
    let resource = &target.selected.resource;
    loop {
        let query = get.query().with("limit", &get.chunk_size.to_string()).with_some("continue", Some(&next));
        let page = server.get(&query.on(&target.path(None)), ACCEPT.1).await;
        let mut page = page.map_err(|failure| about(get, target, failure))?;
        next = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Value::Array(items) = page["items"].take() {
            for mut item in items {
                // Items of a list do not say what they are.
                item["apiVersion"] = resource.api_version().into();
                item["kind"] = resource.kind.clone().into();
                all.push(item);
            }
        }
        if next.is_empty() {
            return Ok(all);
        }
    }
}

/// Says which list it was that the server does not know, or not with these selectors.
fn about(get: &Get, target: &Target, failure: Failure) -> Failure {
    if !matches!(failure.reason(), "BadRequest" | "NotFound") {
        return failure;
    }
    let resource = &target.selected.resource;
    let gvr = match resource.group.as_str() {
        "" => format!("/{}, Resource={}", resource.version, resource.plural),
        _ => format!("{}, Resource={}", resource.api_version(), resource.plural),
    };
    let (labels, fields) =
        (get.selector.as_deref().unwrap_or_default(), get.field_selector.as_deref().unwrap_or_default());
    failure.during(&match (labels, fields) {
        ("", "") => format!("Unable to list {gvr:?}"),
        _ => format!("Unable to find {gvr:?} that match label selector {labels:?}, field selector {fields:?}"),
    })
}

pub(super) fn sort_rows(by: Option<&str>, table: &mut Table) -> Result {
    let Some(by) = by else { return Ok(()) };
    let path = relaxed(by)?;
    let mut keyed: Vec<_> = Vec::with_capacity(table.rows.len());
    for row in table.rows.drain(..) {
        keyed.push((path.values(&row.object)?, row));
    }
    if !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_empty()) {
        return refuse(format!("couldn't find any field with path \"{{{by}}}\" in the list of objects"));
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    table.rows = keyed.into_iter().map(|(_, row)| row).collect();
    Ok(())
}

pub(super) fn sort_objects(by: Option<&str>, objects: &mut Vec<Value>) -> Result {
    let Some(by) = by else { return Ok(()) };
    let path = relaxed(by)?;
    let mut keyed: Vec<_> = Vec::with_capacity(objects.len());
    for object in objects.drain(..) {
        keyed.push((path.values(&object)?, object));
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b));
    *objects = keyed.into_iter().map(|(_, object)| object).collect();
    Ok(())
}
