//! `Event` as the group `events.k8s.io` shows it: the same objects as the core group's, other names of fields.

use api::events::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::core::event;
use crate::{Facts, Kind, Now, UpdateRules};
use apimachinery::GroupKind;
use apimachinery::field::ErrorList;

pub struct Event;

impl Kind for Event {
    type Object = v1::Event;

    const FACTS: Facts = Facts {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        definition: "io.k8s.api.events.v1.Event",
        storage: "events",
        relaxed: true,
        update: UpdateRules { create_on_update: true, unconditional: true },
        selectable: &[
            "reason",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
            "type",
        ],
        columns: event::COLUMNS,
        ..Facts::NAMESPACED
    };

    fn blamed() -> GroupKind {
        // Upstream judges the stored form, and names its kind.
        GroupKind::new("", "Event")
    }

    fn default(event: &mut v1::Event) {
        event.deprecated_source.get_or_insert_default();
        event.regarding.get_or_insert_default();
    }

    fn validate(event: &v1::Event) -> ErrorList {
        event::validate::create(&as_stored(event))
    }

    fn validate_update(new: &v1::Event, old: &v1::Event) -> ErrorList {
        event::validate::update(&as_stored(new), &as_stored(old))
    }

    fn into_stored(object: &mut Object) {
        rename(object, |(here, stored)| (here, stored));
        object.set(&["apiVersion"], "v1");
    }

    fn from_stored(object: &mut Object) {
        rename(object, |(here, stored)| (stored, here));
        object.set(&["apiVersion"], "events.k8s.io/v1");
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        let stored_field = match field {
            "reportingController" => "reportingComponent".to_owned(),
            field => field.replace("regarding.", "involvedObject."),
        };
        event::selected(&stored(object), &stored_field)
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        event::row(&stored(object), now)
    }
}

/// The fields whose names differ: here, and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename(object: &mut Object, direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    for names in NAMES {
        let (from, to) = direction(names);
        if let Some(value) = object.map_mut().remove(from) {
            object.map_mut().insert(to.to_owned(), value);
        }
    }
}

fn stored(object: &Object) -> Object {
    let mut stored = object.clone();
    Event::into_stored(&mut stored);
    stored
}

/// The struct of the stored form.
fn as_stored(event: &v1::Event) -> api::core::v1::Event {
    let event = event.clone();
    let series = event.series.map(|series| api::core::v1::EventSeries {
        count: Some(series.count),
        last_observed_time: Some(series.last_observed_time),
    });
    api::core::v1::Event {
        action: event.action,
        count: event.deprecated_count,
        event_time: event.event_time,
        first_timestamp: event.deprecated_first_timestamp,
        involved_object: event.regarding.unwrap_or_default(),
        last_timestamp: event.deprecated_last_timestamp,
        message: event.note,
        metadata: event.metadata,
        reason: event.reason,
        related: event.related,
        reporting_component: event.reporting_controller,
        reporting_instance: event.reporting_instance,
        series,
        source: event.deprecated_source,
        type_: event.type_,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_event_has_two_faces() {
        let here = serde_json::json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"kind": "Pod", "name": "p"},
            "note": "n", "reportingController": "c", "deprecatedCount": 2, "reason": "R",
        });
        let mut object = Object::from_value(here.clone()).unwrap();
        assert_eq!(Event::field(&object, "regarding.name").unwrap(), "p");
        Event::into_stored(&mut object);
        let stored = serde_json::json!({
            "apiVersion": "v1", "kind": "Event", "involvedObject": {"kind": "Pod", "name": "p"},
            "message": "n", "reportingComponent": "c", "count": 2, "reason": "R",
        });
        assert_eq!(object.clone().into_value(), stored);
        Event::from_stored(&mut object);
        assert_eq!(object.into_value(), here);
    }
}
