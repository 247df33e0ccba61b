//! `-f`: objects from files, folders and standard input, YAML or JSON, many in one file, and Lists.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use apimachinery::GroupVersionKind;
use serde_json::Value;

use crate::{
    discovery::Resource,
    failure::{Failure, Result, refuse},
    server::Server,
};

/// The largest file of objects; an object is at most 3 MiB.
const MAX_BYTES: u64 = 64 << 20;
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// An object with where it was read and what serves it.
pub(crate) struct Manifest {
    pub(crate) object: Value,
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// The file's name, or `STDIN`.
    pub(crate) source: String,
}

impl Manifest {
    pub(crate) fn path(&self) -> String {
        self.resource.object_path(self.namespace.as_deref(), &self.name)
    }

    pub(crate) fn collection(&self) -> String {
        self.resource.path(self.namespace.as_deref())
    }
}

/// Reads all files and finds what serves each object. Namespaces are filled in.
pub(crate) async fn read(server: &Server, files: &[String], recursive: bool) -> Result<Vec<Manifest>> {
    let discovery = server.discovery().await?;
    let mut manifests = Vec::new();
    for (source, text) in texts(files, recursive)? {
        for object in objects(&source, &text)? {
            let kind = gvk(&object, &source)?;
            let Some(resource) = discovery.of_kind(&kind) else {
                let version = if kind.group.is_empty() {
                    kind.version.clone()
                } else {
                    format!("{}/{}", kind.group, kind.version)
                };
                return refuse(format!(
                    "resource mapping not found for name: {:?} namespace: {:?} from {source:?}: no matches for kind {:?} \
                     in version {version:?}\nensure CRDs are installed first",
                    text_at(&object, "/metadata/name"),
                    text_at(&object, "/metadata/namespace"),
                    kind.kind
                ));
            };
            manifests.push(manifest(server, resource.clone(), object, source.clone())?);
        }
    }
    if manifests.is_empty() {
        return refuse("no objects passed to apply");
    }
    Ok(manifests)
}

fn manifest(server: &Server, resource: Resource, mut object: Value, source: String) -> Result<Manifest> {
    let own = text_at(&object, "/metadata/namespace").to_owned();
    let namespace = if !resource.namespaced {
        None
    } else if own.is_empty() {
        object["metadata"]["namespace"] = server.namespace.clone().into();
        Some(server.namespace.clone())
    } else if server.explicit_namespace && own != server.namespace {
        return refuse(format!(
            "the namespace from the provided object {own:?} does not match the namespace {:?}. You must pass \
             '--namespace={own}' to perform this operation.",
            server.namespace
        ));
    } else {
        Some(own)
    };
    let name = text_at(&object, "/metadata/name").to_owned();
    Ok(Manifest { object, resource, namespace, name, source })
}

pub(crate) fn text_at<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn gvk(object: &Value, source: &str) -> Result<GroupVersionKind> {
    let (version, kind) = (text_at(object, "/apiVersion"), text_at(object, "/kind"));
    if kind.is_empty() {
        return refuse(format!("error validating {source:?}: error validating data: kind not set"));
    }
    if version.is_empty() {
        return refuse(format!("error validating {source:?}: error validating data: apiVersion not set"));
    }
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    Ok(GroupVersionKind::new(group, version, kind))
}

/// Every file with its text.
fn texts(files: &[String], recursive: bool) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for file in files.iter().flat_map(|f| f.split(',')) {
        if file == "-" {
            let mut text = String::new();
            std::io::stdin()
                .take(MAX_BYTES)
                .read_to_string(&mut text)
                .map_err(|e| Failure::Request { reason: format!("error reading STDIN: {e}") })?;
            texts.push(("STDIN".to_owned(), text));
        } else if file.starts_with("http://") || file.starts_with("https://") {
            return refuse(format!(
                "unable to read URL {file:?}: manifests are read from files only; fetch it, then use -f FILE"
            ));
        } else {
            for path in paths(Path::new(file), recursive)? {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| Failure::Request { reason: format!("error reading {name}: {e}") })?;
                texts.push((name, text));
            }
        }
    }
    Ok(texts)
}

/// The file itself, or what a folder has of manifests, by name.
fn paths(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    let shown = path.display();
    let Ok(metadata) = std::fs::metadata(path) else {
        return refuse(format!("the path {:?} does not exist", shown.to_string()));
    };
    if !metadata.is_dir() {
        if metadata.len() > MAX_BYTES {
            return refuse(format!("{shown} has {} bytes, more than {MAX_BYTES}", metadata.len()));
        }
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).map_err(|e| Failure::Request { reason: format!("error reading {shown}: {e}") })?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                found.extend(paths(&entry, recursive)?);
            }
        } else if entry.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known)) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The documents of a text; a List is its items.
fn objects(source: &str, text: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for document in documents(text) {
        let value: Value = match serde_json::from_str(document) {
            Ok(value) => value,
            Err(_) => serde_saphyr::from_str(document).map_err(|e| {
                let why = e.to_string();
                let why = why.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Failure::Request {
                    reason: format!("error parsing {source}: error converting YAML to JSON: yaml: {why}"),
                }
            })?,
        };
        flatten(value, source, &mut found)?;
    }
    Ok(found)
}

fn flatten(value: Value, source: &str, found: &mut Vec<Value>) -> Result {
    match value {
        Value::Null => Ok(()),
        Value::Object(mut map) => {
            let is_list = map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match map.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) if is_list => {
                    items.into_iter().try_for_each(|item| flatten(item, source, found))
                }
                Some(items) => {
                    map.insert("items".to_owned(), items);
                    found.push(Value::Object(map));
                    Ok(())
                }
                None => {
                    found.push(Value::Object(map));
                    Ok(())
                }
            }
        }
        _ => refuse(format!("error parsing {source}: a document is no object")),
    }
}

/// Documents are parted by lines that begin with three dashes. Those without content are left out.
fn documents(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            parts.push(&text[start..at]);
            start = at + line.len();
        }
        at += line.len();
    }
    parts.push(&text[start..]);
    let has_content = |part: &&str| part.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
    parts.into_iter().filter(has_content).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let text =
            "# first\n---\nkind: A\nb: |\n  ---x\n---\n# nothing\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n";
        let kinds: Vec<Value> = objects("f", text).unwrap().iter().map(|o| o["kind"].clone()).collect();
        assert_eq!(kinds, [json!("A"), json!("B"), json!("C")]);
        assert_eq!(objects("f", "{\"kind\": \"A\"}").unwrap(), [json!({"kind": "A"})]);
        assert!(objects("f", "- 1\n").is_err());
    }
}
