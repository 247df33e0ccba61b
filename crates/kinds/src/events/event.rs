//! `Event` as the group `events.k8s.io` shows it: the same objects as the core group's, other names of fields.

use api::events::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::core::event;
use crate::{Facts, Kind, Now, UpdateRules};

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
