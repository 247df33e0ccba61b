//! Aggregated discovery: everything in one document, which clients cache by its ETag.

use serde_json::{Value, json};

use super::{Catalog, Entry, catalog::subresource_name};

/// `APIGroupDiscoveryList` of the core group (`/api`) or of all others (`/apis`).
pub(crate) fn aggregated(catalog: &Catalog, core: bool, version: &str) -> Value {
    let items: Vec<Value> = catalog.groups().filter(|g| g.is_empty() == core).map(|g| group(catalog, g)).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn group(catalog: &Catalog, name: &str) -> Value {
    let mut metadata = json!({"creationTimestamp": null});
    if !name.is_empty() {
        metadata["name"] = name.into();
    }
    let versions: Vec<Value> = catalog
        .versions(name)
        .map(|version| {
            let entries = catalog.entries(name, version).unwrap_or_default();
            let resources: Vec<Value> =
                entries.iter().filter(|e| e.subresource.is_none()).map(|e| resource(e, entries)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    json!({"metadata": metadata, "versions": versions})
}

fn response_kind(entry: &Entry) -> Value {
    let (group, version) = entry.foreign.unwrap_or_default();
    json!({"group": group, "version": version, "kind": entry.kind})
}

fn resource(entry: &Entry, entries: &[Entry]) -> Value {
    let facts = entry.facts();
    let mut resource = json!({
        "resource": facts.plural,
        "responseKind": response_kind(entry),
        "scope": if facts.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": facts.singular,
        "verbs": entry.verbs,
    });
    if !facts.short_names.is_empty() {
        resource["shortNames"] = facts.short_names.clone().into();
    }
    if !facts.categories.is_empty() {
        resource["categories"] = facts.categories.clone().into();
    }
    let subresources: Vec<Value> = entries
        .iter()
        .filter(|e| e.facts().plural == facts.plural)
        .filter_map(|e| {
            let name = subresource_name(e.subresource?);
            Some(json!({"subresource": name, "responseKind": response_kind(e), "verbs": e.verbs}))
        })
        .collect();
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}
