//! `Event`: what happened to an object. Stored in this form, served by two groups.

pub(crate) mod validate;

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now, UpdateRules};
use apimachinery::field::ErrorList;

pub struct Event;

impl Kind for Event {
    type Object = v1::Event;

    const FACTS: Facts = Facts {
        kind: "Event",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        definition: "io.k8s.api.core.v1.Event",
        storage: "events",
        relaxed: true,
        update: UpdateRules { create_on_update: true, unconditional: true },
        selectable: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        columns: COLUMNS,
        ..Facts::NAMESPACED
    };

    fn default(event: &mut v1::Event) {
        event.source.get_or_insert_default();
    }

    fn validate(event: &v1::Event) -> ErrorList {
        validate::legacy(event, "reportingComponent")
    }

    fn field(object: &Object, field: &str) -> Option<String> {
        selected(object, field)
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        row(object, now)
    }
}

pub(crate) const COLUMNS: &[Column] = &[
    Column::new("Last Seen", "string", "Time since this last happened."),
    Column::new("Type", "string", "Whether this is normal or a warning."),
    Column::new("Reason", "string", "Short word for why this happened."),
    Column::new("Object", "string", "What it happened to."),
    Column::wide("Subobject", "string", "The part of the object it happened to."),
    Column::wide("Source", "string", "Which component reported it, and where."),
    Column::new("Message", "string", "What happened, for people."),
    Column::wide("First Seen", "string", "Time since this first happened."),
    Column::wide("Count", "string", "How often this happened."),
    Column { priority: 1, ..Column::name() },
];

/// The value of a selectable field of a stored event.
pub(crate) fn selected(object: &Object, field: &str) -> Option<String> {
    let text = |path: &[&str]| print::text(object, path).to_owned();
    match field.split_once('.') {
        Some(("involvedObject", field)) => Some(text(&["involvedObject", field])),
        Some(_) => None,
        None => match field {
            "reason" | "reportingComponent" | "type" => Some(text(&[field])),
            "source" => {
                let source = print::text(object, &["source", "component"]);
                Some(print::or(source, print::text(object, &["reportingComponent"])).to_owned())
            }
            _ => None,
        },
    }
}

/// The table row of a stored event.
pub(crate) fn row(object: &Object, now: Now) -> Vec<Value> {
    let since = |path: &[&str]| object.get_str(path).map(|time| print::since(Some(time), now));
    let first = since(&["firstTimestamp"]).or_else(|| since(&["eventTime"])).unwrap_or(print::UNKNOWN.to_owned());
    let mut last = since(&["lastTimestamp"]).unwrap_or_else(|| first.clone());
    let mut count = print::number(object, &["count"]).max(1);
    if object.get(&["series"]).is_some_and(Value::is_object) {
        last = since(&["series", "lastObservedTime"]).unwrap_or(print::UNKNOWN.to_owned());
        count = print::number(object, &["series", "count"]);
    }
    let mut target = print::text(object, &["involvedObject", "kind"]).to_lowercase();
    let name = print::text(object, &["involvedObject", "name"]);
    if !name.is_empty() {
        target = format!("{target}/{name}");
    }
    cells![
        last,
        print::text(object, &["type"]),
        print::text(object, &["reason"]),
        target,
        print::text(object, &["involvedObject", "fieldPath"]),
        source(object),
        print::text(object, &["message"]).trim(),
        first,
        count,
        print::name(object),
    ]
}

fn source(object: &Object) -> String {
    let reporter = print::text(object, &["reportingComponent"]);
    let component = print::text_or(object, &["source", "component"], reporter);
    let instance = print::text_or(object, &["source", "host"], print::text(object, &["reportingInstance"]));
    if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") }
}
