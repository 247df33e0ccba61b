//! `/metrics`: requests counted and timed under upstream's names.

use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::request_info::RequestInfo;

/// Upstream's buckets of `apiserver_request_duration_seconds`.
const DURATIONS: [f64; 22] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    60.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    dry_run: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    group: String,
    version: String,
    resource: String,
}

/// The server's own metrics.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    watchers: Family<WatchLabels, Gauge>,
    in_flight: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        let watchers = Family::default();
        let in_flight = Gauge::default();
        registry.register("apiserver_request", "Requests, by what they asked for and how they ended", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time from a request to its answer, in seconds",
            durations.clone(),
        );
        registry.register("apiserver_longrunning_requests", "Watches that are open", watchers.clone());
        registry.register("apiserver_current_inflight_requests", "Requests being served", in_flight.clone());
        Self { registry: Mutex::new(registry), requests, durations, watchers, in_flight }
    }
}

/// Counts an open watch as long as it is held.
pub(crate) struct OpenWatch(Gauge);

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn observe(&self, info: &RequestInfo, method: &Method, dry_run: bool, code: StatusCode, took: Duration) {
        let verb = verb(info, method);
        let scope = scope(info);
        // What does not exist must not make a time series each: anybody could fill the memory.
        let (group, version, resource, subresource) = match info.is_resource && code != StatusCode::NOT_FOUND {
            true => (info.api_group.clone(), info.api_version.clone(), info.resource.clone(), info.subresource.clone()),
            false => Default::default(),
        };
        if code == StatusCode::FORBIDDEN || code == StatusCode::UNAUTHORIZED {
            return self.count_refused(verb, code);
        }
        if verb != "WATCH" {
            let labels = DurationLabels {
                verb: verb.clone(),
                group: group.clone(),
                version: version.clone(),
                resource: resource.clone(),
                subresource: subresource.clone(),
                scope: scope.clone(),
            };
            self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
        let dry_run = if dry_run { "All".to_owned() } else { String::new() };
        let labels = RequestLabels { verb, dry_run, group, version, resource, subresource, scope, code: code.as_u16() };
        self.requests.get_or_create(&labels).inc();
    }

    fn count_refused(&self, verb: String, code: StatusCode) {
        let empty = String::new;
        let labels = RequestLabels {
            verb,
            dry_run: empty(),
            group: empty(),
            version: empty(),
            resource: empty(),
            subresource: empty(),
            scope: empty(),
            code: code.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn watch(&self, info: &RequestInfo) -> OpenWatch {
        let labels = WatchLabels {
            group: info.api_group.clone(),
            version: info.api_version.clone(),
            resource: info.resource.clone(),
        };
        let gauge = self.watchers.get_or_create(&labels).clone();
        gauge.inc();
        OpenWatch(gauge)
    }

    pub(crate) fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock());
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self, in_flight: usize) -> String {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string cannot fail.
        if encode(&mut text, &self.registry.lock()).is_err() {
            text.clear();
        }
        text
    }
}

fn verb(info: &RequestInfo, method: &Method) -> String {
    match info.verb.as_str() {
        "list" => "LIST".to_owned(),
        "watch" => "WATCH".to_owned(),
        "deletecollection" => "DELETECOLLECTION".to_owned(),
        _ => match *method {
            Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::HEAD => {
                method.to_string()
            }
            _ => "other".to_owned(),
        },
    }
}

fn scope(info: &RequestInfo) -> String {
    let scope = match (info.is_resource, info.name.is_empty() || info.name_from_selector, info.namespace.is_empty()) {
        (false, ..) => "",
        (_, false, _) => "resource",
        (_, _, false) => "namespace",
        _ => "cluster",
    };
    scope.to_owned()
}
