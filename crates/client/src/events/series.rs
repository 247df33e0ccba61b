//! events.k8s.io/v1 events: repetitions form a series instead of a count.

use std::time::Duration;

use api::core::v1::ObjectReference;
use api::events::v1::{Event, EventSeries};
use api::meta::MicroTime;
use jiff::Timestamp;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use super::{EventType, QUEUE_LIMIT, lru::Lru};
use crate::{ApiError, Client, Error};

/// A series that has not grown for so long is over; the next occurrence is a new event.
const SERIES_END: Duration = Duration::from_secs(6 * 60);
const SERIES_LIMIT: usize = 4096;
/// Upstream cuts notes here, and its validation refuses longer ones.
const NOTE_LIMIT: usize = 1024;

/// Writes events as one component. Cheap to clone.
#[derive(Clone)]
pub struct SeriesRecorder {
    controller: String,
    instance: String,
    queue: mpsc::Sender<Event>,
}

/// The task that writes what its [`SeriesRecorder`] was given.
pub struct SeriesRecorderTask {
    client: Client,
    queue: mpsc::Receiver<Event>,
    series: Lru<Vec<String>, Option<Series>>,
}

#[derive(Clone)]
struct Series {
    name: String,
    count: i32,
    last: Instant,
}

impl SeriesRecorder {
    /// `controller` is a name like `default-scheduler`; upstream's instance is `<controller>-<hostname>`.
    pub fn new(client: Client, controller: &str, instance: &str) -> (Self, SeriesRecorderTask) {
        let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
        let recorder = Self { controller: controller.to_owned(), instance: instance.to_owned(), queue: sender };
        (recorder, SeriesRecorderTask { client, queue: receiver, series: Lru::new(SERIES_LIMIT) })
    }

    /// Never blocks and never fails. `action` is what was being done (`Binding`, `Scheduling`, `Preempting`).
    pub fn event(
        &self,
        regarding: &ObjectReference,
        related: Option<&ObjectReference>,
        kind: EventType,
        reason: &str,
        action: &str,
        note: impl Into<String>,
    ) {
        let now = Timestamp::now();
        let name = regarding.name.clone().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(regarding.namespace.clone().filter(|n| !n.is_empty()).unwrap_or("default".to_owned())),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(self.instance.clone()),
            action: Some(action.to_owned()),
            reason: Some(reason.to_owned()),
            regarding: Some(regarding.clone()),
            related: related.cloned(),
            note: Some(cut(note.into())),
            type_: Some(kind.as_str().to_owned()),
            ..Event::default()
        };
        if let Err(refused) = self.queue.try_send(event) {
            tracing::warn!(object = name, reason, %refused, "event dropped");
        }
    }
}

fn cut(mut note: String) -> String {
    if note.len() > NOTE_LIMIT {
        let end = (0..=NOTE_LIMIT).rev().find(|i| note.is_char_boundary(*i)).unwrap_or(0);
        note.truncate(end);
    }
    note
}

impl SeriesRecorderTask {
    /// Writes until every recorder is dropped.
    pub async fn run(mut self) {
        while let Some(event) = self.queue.recv().await {
            let key = series_key(&event);
            let now = Instant::now();
            let known = self.series.get_or_insert_with(&key, || None).clone();
            let known = known.filter(|series| now.duration_since(series.last) < SERIES_END);
            let written = match &known {
                Some(series) => self.extend(&event, series).await,
                None => self.create(&event).await,
            };
            let entry = self.series.get_or_insert_with(&key, || None);
            *entry = match written {
                Ok(event) => Some(Series {
                    name: event.metadata.name.unwrap_or_default(),
                    count: event.series.map_or(1, |s| s.count),
                    last: now,
                }),
                Err(error) => {
                    if !error.is_namespace_terminating() && !error.is_not_found() {
                        tracing::warn!(%error, "event could not be written");
                    }
                    None
                }
            };
        }
    }

    fn api(&self, event: &Event) -> Api<Event> {
        self.client.namespaced(event.metadata.namespace.as_deref().unwrap_or("default"))
    }

    async fn create(&self, event: &Event) -> Result<Event, Error> {
        self.api(event).create(&PostParams::default(), event).await
    }

    async fn extend(&self, event: &Event, series: &Series) -> Result<Event, Error> {
        let grown = EventSeries {
            count: series.count + 1,
            last_observed_time: event.event_time.clone().unwrap_or(MicroTime(Timestamp::now())),
        };
        let patch = Patch::Strategic(json!({"series": grown}));
        match self.api(event).patch(&series.name, &PatchParams::default(), &patch).await {
            Err(error) if error.is_not_found() => self.create(event).await,
            other => other,
        }
    }
}

/// Upstream tells events of a series apart by all but their time and note.
fn series_key(event: &Event) -> Vec<String> {
    let object = |o: &Option<ObjectReference>| {
        let o = o.clone().unwrap_or_default();
        [o.kind, o.namespace, o.name, o.uid, o.field_path].map(Option::unwrap_or_default).join("/")
    };
    vec![
        event.type_.clone().unwrap_or_default(),
        event.action.clone().unwrap_or_default(),
        event.reason.clone().unwrap_or_default(),
        event.reporting_controller.clone().unwrap_or_default(),
        event.reporting_instance.clone().unwrap_or_default(),
        object(&event.regarding),
        object(&event.related),
    ]
}
