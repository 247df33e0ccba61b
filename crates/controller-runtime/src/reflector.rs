//! Keeps one cache equal to what the server has: a first list, then a watch from its revision, for ever.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use client::{ApiError, ApiResource, Client, Error};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{Backoff, Cache, Entry, Key, Scope, lines::Lines};

/// Objects per page of a list.
const PAGE_SIZE: u32 = 500;
/// A watch is asked to end after so long, and up to twice as long; the next resumes where it ended.
const WATCH_SECONDS: u64 = 300;
/// A watch that is silent for so much longer than that has lost its server.
const WATCH_GRACE: Duration = Duration::from_secs(30);
/// A server that streams a first list is never silent for so long before its end; one that does not know how is.
const STREAMED_LIST_SILENCE: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A watch that lived so long was a success; failures before it are forgotten.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

const ACCEPT: &str = "application/json";
const ACCEPT_METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const ACCEPT_METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The path of a kind's collection.
pub(crate) fn path(resource: &ApiResource, namespace: &str) -> String {
    let group = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    if namespace.is_empty() {
        format!("{group}/{}", resource.plural)
    } else {
        format!("{group}/namespaces/{namespace}/{}", resource.plural)
    }
}

pub(crate) struct Reflector {
    client: Client,
    path: String,
    scope: Scope,
    cache: Arc<Cache>,
    /// Whether the server is believed to stream first lists.
    streams_lists: bool,
    /// Where the next watch begins; none asks for a list.
    revision: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Api(#[from] Error),
    #[error("the watch sent what is no event: {0}")]
    Garbage(#[from] serde_json::Error),
    #[error("the server was silent for {0:?}")]
    Silent(Duration),
    #[error("the revision to watch from is gone")]
    Expired,
    #[error("the server does not stream lists")]
    NoStreamedList,
}

/// One line of a watch.
#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct WirePage<'a> {
    #[serde(default)]
    metadata: WirePageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WirePageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct WireBookmark {
    metadata: WireBookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBookmarkMetadata {
    resource_version: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Reflector {
    pub(crate) fn new(client: Client, path: String, scope: Scope, cache: Arc<Cache>) -> Self {
        Self { client, path, scope, cache, streams_lists: true, revision: None }
    }

    /// Runs until dropped.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        loop {
            let started = Instant::now();
            let outcome = self.list_and_watch().await;
            if started.elapsed() >= HEALTHY_AFTER {
                backoff.reset();
            }
            match outcome {
                Ok(()) => {
                    tracing::debug!(path = self.path, "watch ended; resuming");
                    // A server that ends watches as soon as they begin must not be asked in a tight loop.
                    if started.elapsed() >= HEALTHY_AFTER {
                        continue;
                    }
                }
                Err(Failure::NoStreamedList) => {
                    self.streams_lists = false;
                    continue;
                }
                Err(Failure::Expired) => {
                    tracing::debug!(path = self.path, "revision expired; listing again");
                    self.revision = None;
                }
                Err(failure) => {
                    if matches!(failure, Failure::Garbage(_)) {
                        // Something may have been missed.
                        self.revision = None;
                    }
                    tracing::warn!(path = self.path, %failure, "list and watch failed; trying again");
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn list_and_watch(&mut self) -> Result<(), Failure> {
        if self.revision.is_none() && !self.streams_lists {
            self.list().await?;
        }
        self.watch().await
    }

    async fn list(&mut self) -> Result<(), Failure> {
        let mut entries = BTreeMap::new();
        let mut token: Option<String> = None;
        loop {
            let target = self.page_target(token.as_deref());
            let accept = if self.scope.metadata_only { ACCEPT_METADATA_LIST } else { ACCEPT };
            let bytes = match self.client.get_bytes(&target, accept).await {
                // The pages' revision is gone: begin again.
                Err(error) if error.is_expired() => return Err(Failure::Expired),
                other => other?,
            };
            let page: WirePage<'_> = serde_json::from_slice(&bytes)?;
            for item in page.items.into_iter().flatten() {
                // Copied, so that one object does not hold on to the whole page.
                let entry = Entry::new(Bytes::copy_from_slice(item.get().as_bytes()))?;
                entries.insert(entry.header.key.clone(), Arc::new(entry));
            }
            token = page.metadata.next.filter(|next| !next.is_empty());
            if token.is_none() {
                self.cache.replace(entries, page.metadata.resource_version.parse().unwrap_or(0));
                self.revision = Some(page.metadata.resource_version);
                return Ok(());
            }
        }
    }

    async fn watch(&mut self) -> Result<(), Failure> {
        let seconds = WATCH_SECONDS + (rand::random::<f64>() * WATCH_SECONDS as f64) as u64;
        let target = self.watch_target(seconds);
        // Until the list is complete its entries are kept aside.
        let mut first_list = self.revision.is_none().then(BTreeMap::new);
        let accept = if self.scope.metadata_only { ACCEPT_METADATA } else { ACCEPT };
        let stream = self.client.stream(&target, accept).await;
        let mut lines = match stream {
            Ok(frames) => Lines::new(frames),
            Err(error) if first_list.is_some() && matches!(error.code(), Some(400 | 422)) => {
                return Err(Failure::NoStreamedList);
            }
            Err(error) if error.is_expired() => return Err(Failure::Expired),
            Err(error) => return Err(error.into()),
        };
        let silence = Duration::from_secs(seconds) + WATCH_GRACE;
        loop {
            let limit = if first_list.is_some() { STREAMED_LIST_SILENCE } else { silence };
            let line = match tokio::time::timeout(limit, lines.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => line?,
                Err(_) if first_list.is_some() => return Err(Failure::NoStreamedList),
                Err(_) => return Err(Failure::Silent(limit)),
            };
            if !line.is_empty() {
                self.take(&line, &mut first_list)?;
            }
        }
    }

    fn take(&mut self, line: &Bytes, first_list: &mut Option<BTreeMap<Key, Arc<Entry>>>) -> Result<(), Failure> {
        let event: WireEvent<'_> = serde_json::from_slice(line)?;
        let object = line.slice_ref(event.object.get().as_bytes());
        match event.kind {
            "ADDED" | "MODIFIED" => {
                let entry = Arc::new(Entry::new(object)?);
                if let Some(aside) = first_list {
                    aside.insert(entry.header.key.clone(), entry);
                } else {
                    self.revision = Some(entry.header.resource_version.to_string());
                    self.cache.put(entry);
                }
            }
            "DELETED" => {
                let header = Entry::new(object)?.header;
                if let Some(aside) = first_list {
                    aside.remove(&header.key);
                } else {
                    self.cache.remove(&header.key, header.resource_version.parse().unwrap_or(0));
                    self.revision = Some(header.resource_version.to_string());
                }
            }
            "BOOKMARK" => self.take_bookmark(event.object, first_list)?,
            "ERROR" => return Err(refusal(event.object)),
            other => tracing::warn!(path = self.path, event = other, "unknown kind of watch event"),
        }
        Ok(())
    }

    fn take_bookmark(
        &mut self,
        object: &RawValue,
        first_list: &mut Option<BTreeMap<Key, Arc<Entry>>>,
    ) -> Result<(), Failure> {
        let bookmark: WireBookmark = serde_json::from_str(object.get())?;
        let revision = bookmark.metadata.resource_version;
        let number = revision.parse().unwrap_or(0);
        if first_list.is_none() {
            self.cache.bookmark(number);
            self.revision = Some(revision);
            return Ok(());
        }
        let annotations = bookmark.metadata.annotations.unwrap_or_default();
        if annotations.get(INITIAL_EVENTS_END).is_some_and(|end| end == "true")
            && let Some(entries) = first_list.take()
        {
            self.cache.replace(entries, number);
            self.revision = Some(revision);
        }
        Ok(())
    }

    fn page_target(&self, token: Option<&str>) -> String {
        let mut query = self.query();
        query.append_pair("limit", &PAGE_SIZE.to_string());
        if let Some(token) = token {
            query.append_pair("continue", token);
        }
        format!("{}?{}", self.path, query.finish())
    }

    fn watch_target(&self, seconds: u64) -> String {
        let mut query = self.query();
        query.append_pair("watch", "true").append_pair("allowWatchBookmarks", "true");
        query.append_pair("timeoutSeconds", &seconds.to_string());
        match &self.revision {
            Some(revision) => query.append_pair("resourceVersion", revision),
            None => query.append_pair("sendInitialEvents", "true").append_pair("resourceVersionMatch", "NotOlderThan"),
        };
        format!("{}?{}", self.path, query.finish())
    }

    fn query(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.scope.labels.is_empty() {
            query.append_pair("labelSelector", &self.scope.labels);
        }
        if !self.scope.fields.is_empty() {
            query.append_pair("fieldSelector", &self.scope.fields);
        }
        query
    }
}

fn refusal(object: &RawValue) -> Failure {
    match serde_json::from_str::<client::kube::core::Status>(object.get()) {
        Ok(status) if status.code == 410 => Failure::Expired,
        Ok(status) => Failure::Api(Error::Api(Box::new(status))),
        Err(error) => Failure::Garbage(error),
    }
}
