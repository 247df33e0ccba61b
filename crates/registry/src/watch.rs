//! Changes as watchers see them: which of the store's events concern a watch, and as what.
//!
//! An object that comes to match a selector is ADDED to the watch, one that ceases to is DELETED from it. The store
//! keeps the queue of each watch bounded; a watch that falls behind ends, and its client watches again from where it
//! was.

mod frames;

use std::{collections::VecDeque, sync::Arc};

use apimachinery::Status;
use bytes::Bytes;
use serde_json::{Value, json};
use store::{Event, KeyValue, OutOfWindow, Revision, Watch};
use tokio::time::{Duration, Interval, MissedTickBehavior};

use crate::{
    ListOptions, Registry, RequestContext, Resource, View, decode, failure, form, header::restamp, keys, moved,
    options, selection::Selection, view,
};
pub(crate) use frames::Frames;

/// How often a watch that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One event. The bytes are shared by all watchers.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub event_type: EventType,
    /// The encoded object (or `Status`).
    pub object: Bytes,
    /// `{"type":"ADDED","object":…}` and a newline.
    pub frame: Bytes,
}

impl WatchEvent {
    fn new(event_type: EventType, object: Bytes) -> Self {
        let frame = frames::encode(event_type, &object);
        Self { event_type, object, frame }
    }

    /// How a watch says that it failed.
    pub fn error(status: &Status) -> Self {
        Self::new(EventType::Error, view::to_bytes(&status.to_value()))
    }
}

/// A running watch. Ends when the watcher is too slow or the server stops; the client then watches again.
pub struct Watcher {
    resource: Arc<dyn Resource>,
    selection: Selection,
    view: View,
    /// Events up to here are known to the client.
    after: Revision,
    watch: Option<Watch>,
    /// Ready to be given out: the initial state, and the rest of a batch.
    initial: std::vec::IntoIter<Arc<KeyValue>>,
    /// The bookmark that ends the initial state.
    initial_end: Option<Revision>,
    batch: VecDeque<Arc<Event>>,
    bookmarks: Option<Interval>,
    /// A table's columns are sent once.
    columns_sent: bool,
    frames: Arc<Frames>,
}

impl Registry {
    pub(crate) async fn open_watch(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &ListOptions,
        view: View,
    ) -> Result<Watcher, Status> {
        let facts = resource.facts();
        if !facts.can(kinds::Verb::Watch) {
            return Err(Status::method_not_supported(&facts.group_resource(), "watch"));
        }
        options::validate_watch(options)?;
        let selection = Selection::parse(facts, cx, options)?;
        let asked = failure::parse_version(&options.resource_version)?;
        let prefix = match &selection.name {
            Some(name) if !facts.namespaced || !cx.namespace().is_empty() => keys::object(facts, cx.namespace(), name),
            _ => keys::collection(facts, cx.namespace()),
        };
        let wants_state = options.send_initial_events.unwrap_or(asked == 0);
        let mut watcher = Watcher {
            resource: resource.clone(),
            selection,
            view,
            after: Revision(asked),
            watch: None,
            initial: Vec::new().into_iter(),
            initial_end: None,
            batch: VecDeque::new(),
            bookmarks: options.allow_watch_bookmarks.then(bookmark_timer),
            columns_sent: false,
            frames: self.frames().clone(),
        };
        if wants_state {
            // A stream in place of a list promises what the list does; any other begins with what is at hand.
            let snapshot = match options.send_initial_events {
                Some(true) => self.state(&options.resource_version).await?,
                _ => self.at_least(asked).await?,
            };
            let items: Vec<_> = snapshot.walk(&prefix, None).cloned().collect();
            watcher.initial = items.into_iter();
            watcher.after = snapshot.revision();
            let ends = options.send_initial_events == Some(true) && options.allow_watch_bookmarks;
            watcher.initial_end = ends.then_some(snapshot.revision());
        } else if asked == 0 {
            watcher.after = self.store().revision();
        }
        watcher.watch = Some(match self.store().watch(&prefix, watcher.after) {
            Ok(watch) => watch,
            // The client knows a state that is yet to come; it hears what comes after it.
            Err(OutOfWindow::Future { current, .. }) => {
                if moved::is_of_before(&self.store().snapshot(), asked) {
                    return Err(Status::expired(format!("too old resource version: {asked} ({current})")));
                }
                self.store().watch(&prefix, current).map_err(|_| Status::internal("the present is out of reach"))?
            }
            Err(OutOfWindow::Compacted { floor, .. }) => {
                return Err(Status::expired(format!("too old resource version: {asked} ({floor})")));
            }
        });
        Ok(watcher)
    }
}

fn bookmark_timer() -> Interval {
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

async fn tick(timer: &mut Option<Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        None => std::future::pending().await,
    }
}

impl Watcher {
    /// The next event; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            while let Some(kv) = self.initial.next() {
                if self.selection.matches(self.resource.as_ref(), &kv.value) {
                    return Some(self.show(EventType::Added, &kv.value));
                }
            }
            if let Some(revision) = self.initial_end.take() {
                return Some(self.bookmark(revision, true));
            }
            while let Some(event) = self.batch.pop_front() {
                if let Some(event) = self.judge(&event) {
                    return Some(event);
                }
            }
            let watch = self.watch.as_mut()?;
            tokio::select! {
                biased;
                events = watch.next() => match events {
                    Ok(events) => self.batch.extend(events),
                    Err(error) => {
                        tracing::debug!(%error, "a watch ended");
                        self.watch = None;
                    }
                },
                () = tick(&mut self.bookmarks) => {
                    let progress = watch.progress().max(self.after);
                    return Some(self.bookmark(progress, false));
                }
            }
        }
    }

    fn matching<'a>(&self, kv: &'a Option<Arc<KeyValue>>) -> Option<&'a Arc<KeyValue>> {
        kv.as_ref().filter(|kv| self.selection.matches(self.resource.as_ref(), &kv.value))
    }

    /// What an event of the store means to this watch.
    fn judge(&mut self, event: &Arc<Event>) -> Option<WatchEvent> {
        if event.revision <= self.after {
            return None;
        }
        let (event_type, kv) = match (self.matching(&event.previous), self.matching(&event.current)) {
            (None, None) => return None,
            (None, Some(current)) => (EventType::Added, current),
            (Some(_), Some(current)) => (EventType::Modified, current),
            (Some(previous), None) => (EventType::Deleted, previous),
        };
        let plain = !self.resource.facts().converts() && form::why_unreadable(&kv.value).is_none();
        if self.view == View::Object && plain {
            return Some(self.frames.event(event, event_type, || {
                let object = match event_type {
                    EventType::Deleted => restamp(&kv.value, event.revision.0),
                    _ => kv.value.clone(),
                };
                WatchEvent::new(event_type, object)
            }));
        }
        let bytes = match event_type {
            EventType::Deleted => restamp(&kv.value, event.revision.0),
            _ => kv.value.clone(),
        };
        Some(self.show(event_type, &bytes))
    }

    fn show(&mut self, event_type: EventType, bytes: &Bytes) -> WatchEvent {
        let shown = match self.view {
            View::Table(include) => self.table(bytes, include),
            view => view::object(self.resource.as_ref(), bytes, view, 0),
        };
        match shown {
            Ok(object) => WatchEvent::new(event_type, object),
            Err(status) => WatchEvent::error(&status),
        }
    }

    fn table(&mut self, bytes: &Bytes, include: crate::IncludeObject) -> Result<Bytes, Status> {
        let resource = self.resource.as_ref();
        let tree = decode::stored(resource, bytes)?;
        let metadata = json!({ "resourceVersion": tree.resource_version() });
        let now = jiff::Timestamp::now().as_second();
        let rows = vec![view::row(resource, tree, include, now)];
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        Ok(view::to_bytes(&view::table(resource, metadata, rows, columns)))
    }

    fn bookmark(&self, revision: Revision, initial_end: bool) -> WatchEvent {
        let mut metadata = json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if initial_end {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let gvk = &self.resource.facts().gvk;
        let object = match self.view {
            View::Table(_) => {
                json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                    "columnDefinitions": Value::Null, "rows": [] })
            }
            View::Metadata => {
                json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata })
            }
            View::Object => json!({ "kind": gvk.kind, "apiVersion": gvk.api_version(), "metadata": metadata }),
        };
        WatchEvent::new(EventType::Bookmark, view::to_bytes(&object))
    }
}
