//! Watching a few objects, for verbs that wait.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use crate::{
    failure::{Failure, Result, refuse},
    server::{JSON, Query, Server},
};

/// The longest line of a watch; an object is at most 3 MiB.
const MAX_LINE_BYTES: usize = 16 << 20;

/// One event of a watch.
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) object: Value,
}

/// The events of a watch, one after the other.
pub(crate) struct Watch {
    stream: client::ByteStream,
    buffer: Vec<u8>,
}

impl Watch {
    pub(crate) async fn start(server: &Server, path: &str, accept: &str) -> Result<Self> {
        Ok(Self { stream: server.stream(path, accept).await?, buffer: Vec::new() })
    }

    /// None when the server has ended the watch.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line)
                    .map_err(|e| Failure::Request { reason: format!("the server's watch is no JSON: {e}") })?;
                let kind = event["type"].as_str().unwrap_or_default().to_owned();
                let object = event["object"].take();
                if kind == "ERROR" {
                    let status = serde_json::from_value(object).unwrap_or_default();
                    return Err(Failure::Server { status: Box::new(status), during: None });
                }
                return Ok(Some(Event { kind, object }));
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return refuse("the server's watch has a line without an end");
            }
            match self.stream.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

/// Waits until the object with this uid is gone.
pub(crate) async fn until_gone(server: &Server, path: &str, name: &str, uid: &str, limit: Duration) -> Result {
    let gone = async {
        loop {
            let object = match server.get(path, JSON).await {
                Ok(object) => object,
                Err(failure) if failure.is_not_found() => return Ok(()),
                Err(failure) => return Err(failure),
            };
            let text = |pointer| crate::manifest::text_at(&object, pointer);
            if text("/metadata/uid") != uid {
                return Ok(());
            }
            let collection = path.rsplit_once('/').map_or(path, |(collection, _)| collection);
            let query = Query::default()
                .with("fieldSelector", &format!("metadata.name={name}"))
                .with("resourceVersion", text("/metadata/resourceVersion"))
                .with("watch", "true");
            let mut watch = Watch::start(server, &query.on(collection), JSON).await?;
            while let Some(event) = watch.next().await? {
                if event.kind == "DELETED" {
                    return Ok(());
                }
            }
        }
    };
    match tokio::time::timeout(limit, gone).await {
        Ok(done) => done,
        Err(_) => refuse(format!("timed out waiting for the condition on {}", path_name(path))),
    }
}

/// `pods/web` of a path.
fn path_name(path: &str) -> String {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    format!("{}/{name}", parts.next().unwrap_or_default())
}
