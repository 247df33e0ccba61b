//! core/v1 events.

use std::time::Duration;

use api::core::v1::{Event, EventSource, ObjectReference};
use api::meta::Time;
use jiff::Timestamp;
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use super::{
    QUEUE_LIMIT,
    correlate::{Correlator, Verdict},
};
use crate::{ApiError, Client, Error};

/// Tries for an event the server did not answer about.
const MAX_TRIES: u32 = 12;
const RETRY_DELAY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Writes events as one component. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    source: EventSource,
    queue: mpsc::Sender<Event>,
}

/// The task that writes what its [`Recorder`] was given; run it as long as the component lives.
pub struct RecorderTask {
    client: Client,
    queue: mpsc::Receiver<Event>,
    correlator: Correlator,
}

impl Recorder {
    /// A recorder for `component` (`kubelet`, `deployment-controller`), on `host` if it belongs to one.
    pub fn new(client: Client, component: &str, host: Option<&str>) -> (Self, RecorderTask) {
        let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
        let source = EventSource { component: Some(component.to_owned()), host: host.map(str::to_owned) };
        let task = RecorderTask { client, queue: receiver, correlator: Correlator::new() };
        (Self { source, queue: sender }, task)
    }

    pub fn normal(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Normal, reason, message);
    }

    pub fn warning(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.event(object, EventType::Warning, reason, message);
    }

    /// Never blocks and never fails: an event that cannot be kept is logged and dropped.
    pub fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let now = Timestamp::now();
        let name = object.name.clone().unwrap_or_default();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                // Events about cluster-scoped objects live in `default`, as upstream's do.
                namespace: Some(object.namespace.clone().filter(|n| !n.is_empty()).unwrap_or("default".to_owned())),
                ..ObjectMeta::default()
            },
            involved_object: object.clone(),
            reason: Some(reason.to_owned()),
            message: Some(message.into()),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            type_: Some(kind.as_str().to_owned()),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            source: Some(self.source.clone()),
            ..Event::default()
        };
        if let Err(refused) = self.queue.try_send(event) {
            tracing::warn!(object = name, reason, %refused, "event dropped");
        }
    }
}

impl RecorderTask {
    /// Writes until every recorder is dropped.
    pub async fn run(mut self) {
        while let Some(event) = self.queue.recv().await {
            let (verdict, key) = self.correlator.judge(event, Instant::now());
            let written = match verdict {
                Verdict::Drop => continue,
                Verdict::Create(event) => retrying(|| self.create(&event)).await,
                Verdict::Repeat(event) => retrying(|| self.repeat(&event)).await,
            };
            match written {
                Ok(event) => self.correlator.wrote(key, &event),
                Err(error) => {
                    self.correlator.forget(&key);
                    // A namespace that is going away takes no more events, and nobody is left to read them.
                    if !error.is_namespace_terminating() && !error.is_not_found() {
                        tracing::warn!(%error, "event could not be written");
                    }
                }
            }
        }
    }

    fn api(&self, event: &Event) -> Api<Event> {
        self.client.namespaced(event.metadata.namespace.as_deref().unwrap_or("default"))
    }

    async fn create(&self, event: &Event) -> Result<Event, Error> {
        self.api(event).create(&PostParams::default(), event).await
    }

    async fn repeat(&self, event: &Event) -> Result<Event, Error> {
        let name = event.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({"count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message});
        match self.api(event).patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            // The event has expired; the count goes on in a new one.
            Err(error) if error.is_not_found() => self.create(event).await,
            other => other,
        }
    }
}

/// Tries again while there is no answer; an answer is final.
async fn retrying<F>(mut attempt: impl FnMut() -> F) -> Result<Event, Error>
where
    F: Future<Output = Result<Event, Error>>,
{
    for _ in 1..MAX_TRIES {
        match attempt().await {
            Err(error) if ApiError::code(&error).is_none() => tokio::time::sleep(RETRY_DELAY).await,
            answer => return answer,
        }
    }
    attempt().await
}
