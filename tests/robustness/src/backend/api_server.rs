//! The API server over HTTP and TLS: keys are ConfigMaps, revisions resource versions.
//!
//! `p/1/a` is the ConfigMap `p-1-a` with the labels `set: p` and `part: p-1`, so that a prefix is a selector.

use async_trait::async_trait;
use client::{ApiError, ByteStream, Client, Error};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Backend, Change, Event, Following, Listing, Revision, Said, Transaction, Unread, Version, Written};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

/// A client of the API.
pub struct ApiServer(pub Client);

impl ApiServer {
    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let body = serde_json::to_vec(body).map_err(Error::SerdeError)?;
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.0.request(request.body(body.into()).map_err(Error::HttpError)?).await
    }

    async fn change(&self, change: &Change) -> Result<Revision, Error> {
        let name = name(change.key());
        let object = |value: &str, version: Option<Revision>| {
            let mut metadata = json!({ "name": name, "labels": labels(change.key()) });
            if let Some(version) = version {
                metadata["resourceVersion"] = version.to_string().into();
            }
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "value": value } })
        };
        let one = format!("{PATH}/{name}");
        let answer = match change {
            Change::Put { .. } => unreachable!("the API has no blind writes without a read"),
            Change::Create { value, .. } => self.call("POST", PATH, &object(value, None)).await?,
            Change::Update { value, expected, .. } => self.call("PUT", &one, &object(value, Some(*expected))).await?,
            Change::Delete { expected, .. } => {
                let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions",
                    "preconditions": { "resourceVersion": expected.to_string() } });
                // The answer does not tell the revision of the deletion; the watch does.
                self.call("DELETE", &one, &options).await?;
                return Ok(0);
            }
        };
        Ok(version_of(&answer))
    }
}

#[async_trait]
impl Backend for ApiServer {
    async fn write(&self, transaction: Transaction) -> Written {
        let [change] = &transaction.changes[..] else { unreachable!("the API has no transactions") };
        let conflict = |current| Written::Conflict { key: change.key().to_owned(), current };
        match self.change(change).await {
            Ok(0) => Written::DoneSomewhen,
            Ok(revision) => Written::Done { revision },
            Err(error) => match error.code() {
                Some(404) => conflict(Some(None)),
                Some(409) => conflict(None),
                Some(507) => Written::Refused,
                Some(code @ 400..500) => panic!("{change:?} was refused: {code} {}", error.message()),
                _ => Written::Unknown,
            },
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<Version>, Option<Revision>), Unread> {
        match self.0.get_bytes(&format!("{PATH}/{}", name(key)), "application/json").await {
            Ok(bytes) => {
                let object = serde_json::from_slice(&bytes).map_err(|_| Unread::Gone)?;
                Ok((Some(item(&object).1), None))
            }
            Err(error) if error.is_not_found() => Ok((None, None)),
            Err(_) => Err(Unread::Gone),
        }
    }

    async fn list(&self, prefix: &str, at: Option<Revision>) -> Result<Listing, Unread> {
        let exact = at.map_or(String::new(), |at| format!("&resourceVersion={at}&resourceVersionMatch=Exact"));
        let path = format!("{PATH}?{}{exact}", selector(prefix));
        let bytes = self.0.get_bytes(&path, "application/json").await.map_err(|error| unread(&error))?;
        let list: Value = serde_json::from_slice(&bytes).map_err(|_| Unread::Gone)?;
        let objects = list["items"].as_array().into_iter().flatten();
        // Other ConfigMaps of the cluster are none of ours.
        let ours = objects.filter(|object| object["metadata"]["labels"]["set"].is_string());
        Ok(Listing { revision: version_of(&list), items: ours.map(item).collect() })
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Following>, Unread> {
        let path = format!("{PATH}?watch=1&allowWatchBookmarks=true&resourceVersion={after}&{}", selector(prefix));
        let stream = self.0.stream(&path, "application/json").await.map_err(|error| unread(&error))?;
        Ok(Box::new(ApiWatch { stream, buffer: Vec::new() }))
    }

    async fn compact(&self, _revision: Revision) {}

    fn has_transactions(&self) -> bool {
        false
    }
}

struct ApiWatch {
    stream: ByteStream,
    buffer: Vec<u8>,
}

#[async_trait]
impl Following for ApiWatch {
    async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return said(&serde_json::from_slice(&line).ok()?);
            }
            self.buffer.extend_from_slice(&self.stream.next().await?.ok()?);
        }
    }

    async fn progress(&mut self) -> Option<Revision> {
        None
    }
}

/// `None` for an error, which ends the watch.
fn said(message: &Value) -> Option<Said> {
    let object = &message["object"];
    let kind = message["type"].as_str()?;
    if kind == "BOOKMARK" {
        return Some(Said::Bookmark(version_of(object)));
    }
    let (key, version) = item(object);
    let value = match kind {
        "ADDED" | "MODIFIED" => Some(version.value),
        "DELETED" => None,
        _ => return None,
    };
    Some(Said::Events(vec![Event { revision: version.revision, key, value, is_create: kind == "ADDED" }]))
}

fn unread(error: &Error) -> Unread {
    match error.code() {
        Some(410) => Unread::Compacted,
        Some(504) if error.message().contains("Too large resource version") => Unread::Future,
        _ => Unread::Gone,
    }
}

fn item(object: &Value) -> (String, Version) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = text(&object["metadata"]["name"]).replace('-', "/");
    (key, Version { value: text(&object["data"]["value"]), revision: version_of(object) })
}

fn version_of(object: &Value) -> Revision {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn name(key: &str) -> String {
    key.replace('/', "-")
}

fn labels(key: &str) -> Value {
    let set = key.split('/').next().unwrap_or_default();
    let part = key.rsplit_once('/').map_or("", |(part, _)| part);
    json!({ "set": set, "part": name(part) })
}

/// Keys under a prefix. One that ends in no slash is a whole key.
fn selector(prefix: &str) -> String {
    match prefix.strip_suffix('/') {
        None if prefix.is_empty() => "labelSelector=set".to_owned(),
        None => format!("fieldSelector=metadata.name%3D{}", name(prefix)),
        Some(part) if part.contains('/') => format!("labelSelector=part%3D{}", name(part)),
        Some(set) => format!("labelSelector=set%3D{set}"),
    }
}
