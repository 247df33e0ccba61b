//! GET: one object, a list, a watch.

use std::time::Duration;

use apimachinery::{Reason, Status};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use rand::Rng;
use registry::{EventType, GetOptions, ListOptions, Watcher};
use schema::protobuf;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Call;
use crate::{
    metrics::OpenWatch,
    negotiation::{Format, JSON, View},
    query,
    respond::{Body, BoxError},
    server::ApiServer,
    view,
};

/// A watch without a timeout of its own ends after this to twice this, spread so that not all come back at once.
const MIN_WATCH_SECONDS: u64 = 1800;
const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

impl ApiServer {
    pub(super) async fn get(&self, call: Call) -> Result<Response<Body>, Status> {
        let options = GetOptions { resource_version: call.cx.query.text("resourceVersion") };
        let (resource, context) = (&call.entry.resource, call.context());
        let include = view::include(call.cx.query.first("includeObject"))?;
        let registry = &self.inner.live.registry;
        if !call.subresource().is_empty() {
            let bytes = registry.get_subresource(resource, call.subresource(), &context, &options).await?;
            return call.shown(StatusCode::OK, bytes);
        }
        let shown = view::of(&call.looks.accepted.view, false, &view::go_type(resource.as_ref()), include)?;
        let bytes = registry.get(resource, &context, &options, shown).await?;
        call.answer(bytes)
    }

    pub(super) async fn list(&self, call: Call) -> Result<Response<Body>, Status> {
        let options = call.list_options()?;
        let include = view::include(call.cx.query.first("includeObject"))?;
        let resource = &call.entry.resource;
        let shown = view::of(&call.looks.accepted.view, true, &view::go_type(resource.as_ref()), include)?;
        let listed = self.inner.live.registry.list(resource, &call.context(), &options, shown).await?;
        call.chunks(listed.chunks)
    }

    pub(super) async fn watch(&self, call: Call) -> Result<Response<Body>, Status> {
        let framing = Framing::of(call.looks.accepted.format)?;
        let timeout = query::ListOptions::read(&call.cx.query)?.timeout_seconds;
        let options = call.list_options()?;
        let include = view::include(call.cx.query.first("includeObject"))?;
        let resource = &call.entry.resource;
        let is_list = !matches!(call.looks.accepted.view, View::PartialObjectMetadata(_));
        let shown = view::of(&call.looks.accepted.view, is_list, &view::go_type(resource.as_ref()), include)?;
        let mut context = call.context();
        context.name.clone_from(&call.cx.info.name);
        let watcher = match self.inner.live.registry.watch(resource, &context, &options, shown).await {
            Ok(watcher) => watcher,
            Err(status) if status.is(Reason::Expired) || status.is(Reason::Gone) => return Ok(framing.error(&status)),
            Err(status) => return Err(status),
        };
        let seconds = match timeout.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0) {
            Some(seconds) => seconds,
            None => MIN_WATCH_SECONDS + rand::rng().random_range(0..MIN_WATCH_SECONDS),
        };
        let streaming = Streaming {
            watcher,
            end: Instant::now() + Duration::from_secs(seconds),
            stopping: self.inner.tasks.stopping(),
            framing,
            rewrite: rewrite(&call.looks.accepted.view),
            _open: self.inner.metrics.watch(&call.cx.info),
        };
        Ok(streaming.response())
    }
}

/// A watch on its way to the client.
struct Streaming {
    watcher: Watcher,
    end: Instant,
    stopping: tokio_util::sync::CancellationToken,
    framing: Framing,
    rewrite: Option<String>,
    _open: OpenWatch,
}

/// The old version of tables and metadata differs in its name only.
fn rewrite(view: &View) -> Option<String> {
    match view {
        View::Table(version) | View::PartialObjectMetadata(version) | View::PartialObjectMetadataList(version)
            if version != "v1" =>
        {
            Some(format!("meta.k8s.io/{version}"))
        }
        _ => None,
    }
}

impl Streaming {
    fn response(self) -> Response<Body> {
        let framing = self.framing;
        let frames = stream::unfold(self, |mut this| async move {
            let event = tokio::select! {
                event = this.watcher.next() => event?,
                () = tokio::time::sleep_until(this.end) => return None,
                () = this.stopping.cancelled() => return None,
            };
            let frame = match (&this.rewrite, this.framing) {
                (None, Framing::Json) => event.frame,
                (rewrite, framing) => framing.rewritten(event.event_type, &event.object, rewrite.as_deref()),
            };
            Some((Ok::<_, BoxError>(Frame::data(frame)), this))
        });
        framing.stream(StreamBody::new(frames.boxed()).boxed_unsync())
    }
}

/// How the events of a watch follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// One JSON value a line.
    Json,
    /// Messages with their lengths before them.
    Protobuf,
}

impl Framing {
    fn of(format: Format) -> Result<Self, Status> {
        match format {
            Format::Json => Ok(Self::Json),
            Format::Protobuf => Ok(Self::Protobuf),
            Format::Yaml => Err(Status::not_acceptable(&["application/json;stream=watch", PROTOBUF_STREAM])),
        }
    }

    fn stream(self, body: Body) -> Response<Body> {
        let media_type = match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF_STREAM,
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }

    /// A frame of an event whose object is JSON, under another version where one is given.
    fn rewritten(self, event_type: EventType, object: &Bytes, api_version: Option<&str>) -> Bytes {
        let mut object: Value = match serde_json::from_slice(object) {
            Ok(object) => object,
            Err(error) => return self.frame(EventType::Error, &Status::internal(error).to_value()),
        };
        if let (Some(api_version), true) = (api_version, event_type != EventType::Error) {
            object["apiVersion"] = api_version.into();
        }
        self.frame(event_type, &object)
    }

    fn frame(self, event_type: EventType, object: &Value) -> Bytes {
        match self {
            Self::Json => format!("{}\n", json!({"type": event_type.as_str(), "object": object})).into(),
            Self::Protobuf => match protobuf::encode_object(object) {
                Ok(body) => protobuf::watch_frame(event_type.as_str(), &body).into(),
                Err(error) => {
                    tracing::warn!(%error, "an object of a watch has no protobuf form");
                    let refusal = Status::internal(error).to_value();
                    let body = protobuf::encode_object(&refusal).unwrap_or_default();
                    protobuf::watch_frame(EventType::Error.as_str(), &body).into()
                }
            },
        }
    }

    /// A watch that cannot begin ends at once with the reason, as a stream.
    fn error(self, status: &Status) -> Response<Body> {
        self.stream(crate::respond::full(self.frame(EventType::Error, &status.to_value())))
    }
}

impl Call {
    /// The options of a list or a watch, judged.
    pub(super) fn list_options(&self) -> Result<ListOptions, Status> {
        let mut read = query::ListOptions::read(&self.cx.query)?;
        // The old watch paths say by themselves what they are.
        read.watch |= self.cx.info.verb == "watch";
        read.validate()?;
        Ok(ListOptions {
            label_selector: self.cx.query.text("labelSelector"),
            field_selector: self.cx.query.text("fieldSelector"),
            resource_version: read.resource_version,
            resource_version_match: read.resource_version_match,
            limit: u64::try_from(read.limit).unwrap_or_default(),
            continue_token: read.continue_token,
            allow_watch_bookmarks: read.allow_watch_bookmarks,
            send_initial_events: read.send_initial_events,
        })
    }

    /// An answer the registry has already put into the asked-for view.
    pub(super) fn answer(&self, bytes: Bytes) -> Result<Response<Body>, Status> {
        let Some(api_version) = rewrite(&self.looks.accepted.view) else {
            return Ok(self.looks.encoded(StatusCode::OK, bytes));
        };
        let mut tree: Value = serde_json::from_slice(&bytes).map_err(Status::internal)?;
        tree["apiVersion"] = api_version.into();
        Ok(self.looks.document(StatusCode::OK, &tree))
    }

    /// A list in pieces: sent as they are where the client wants plain JSON.
    pub(super) fn chunks(&self, chunks: Vec<Bytes>) -> Result<Response<Body>, Status> {
        let plain = self.looks.accepted.format == Format::Json && !self.looks.pretty && !self.looks.gzip;
        if !plain || rewrite(&self.looks.accepted.view).is_some() {
            return self.answer(chunks.concat().into());
        }
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let frames = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, BoxError>(Frame::data(chunk))));
        let mut response = Framing::Json.stream(StreamBody::new(frames).boxed_unsync());
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
        Ok(response)
    }
}
