//! What an event must satisfy, in the form that is stored. The newer group is stricter about the same objects.

use api::core::v1::Event;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::rules;

const MAX_WORD_BYTES: usize = 128;
const MAX_NOTE_BYTES: usize = 1024;

/// Rules of both groups. The one field that has two names is given by the caller.
pub(crate) fn legacy(event: &Event, reporting_controller: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let own = rules::text(&event.metadata.namespace);
    let involved = rules::text(&event.involved_object.namespace);
    let at_home = match involved {
        "" if event.event_time.is_none() => matches!(own, "" | "default"),
        "" => matches!(own, "default" | "kube-system"),
        involved => event.event_time.is_some() || own == involved,
    };
    if !at_home {
        let at = Path::new("involvedObject").child("namespace");
        errors.push(Error::invalid(&at, involved, "does not match event.namespace"));
    }
    if event.event_time.is_some() {
        reported(event, reporting_controller, &mut errors);
    }
    rules::invalid_each(own, validation::dns1123_subdomain(own), &Path::new("namespace"), &mut errors);
    errors
}

/// What comes with a time of its own says who reports, and what.
fn reported(event: &Event, reporting_controller: &str, errors: &mut ErrorList) {
    let controller = rules::text(&event.reporting_component);
    let at = Path::new(reporting_controller);
    rules::required(controller, &at, errors);
    rules::qualified_name(controller, &at, errors);
    for (word, field) in
        [(&event.reporting_instance, "reportingInstance"), (&event.action, "action"), (&event.reason, "reason")]
    {
        rules::required(rules::text(word), &Path::new(field), errors);
        at_most(rules::text(word), MAX_WORD_BYTES, field, errors);
    }
    at_most(rules::text(&event.message), MAX_NOTE_BYTES, "message", errors);
}

fn at_most(text: &str, max: usize, field: &str, errors: &mut ErrorList) {
    if text.len() > max {
        errors.push(Error::invalid(&Path::new(field), "", format!("can have at most {max} characters")));
    }
}

/// A new event through the newer group.
pub(crate) fn create(event: &Event) -> ErrorList {
    let mut errors = legacy(event, "reportingController");
    series(event, &mut errors);
    if event.event_time.is_none() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let kind = rules::text(&event.type_);
    let mut refuse = |wrong: bool, field: &str, why: &str| {
        if wrong {
            errors.push(Error::invalid(&Path::new(field), "", why));
        }
    };
    refuse(!matches!(kind, "Normal" | "Warning"), "type", &format!("has invalid value: {kind}"));
    const UNSET: &str = "needs to be unset";
    refuse(event.first_timestamp.is_some(), "firstTimestamp", UNSET);
    refuse(event.last_timestamp.is_some(), "lastTimestamp", UNSET);
    refuse(event.count.unwrap_or_default() != 0, "count", UNSET);
    let source = event.source.clone().unwrap_or_default();
    let named = !rules::text(&source.component).is_empty() || !rules::text(&source.host).is_empty();
    refuse(named, "source", UNSET);
    errors
}

/// A change through the newer group: only the series goes on.
pub(crate) fn update(new: &Event, old: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    if new.series != old.series {
        series(new, &mut errors);
    }
    let mut same = |changed: bool, field: &str, value: serde_json::Value| {
        if changed {
            errors.push(Error::invalid(&Path::new(field), value, rules::IMMUTABLE));
        }
    };
    let shown = |value: &Option<String>| serde_json::Value::from(rules::text(value));
    let object = serde_json::to_value(&new.involved_object).unwrap_or_default();
    same(new.involved_object != old.involved_object, "involvedObject", object);
    for (new, old, field) in [
        (&new.reason, &old.reason, "reason"),
        (&new.message, &old.message, "message"),
        (&new.type_, &old.type_, "type"),
        (&new.action, &old.action, "action"),
        (&new.reporting_component, &old.reporting_component, "reportingController"),
        (&new.reporting_instance, &old.reporting_instance, "reportingInstance"),
    ] {
        same(rules::text(new) != rules::text(old), field, shown(new));
    }
    same(new.source != old.source, "source", serde_json::to_value(&new.source).unwrap_or_default());
    same(new.related != old.related, "related", serde_json::to_value(&new.related).unwrap_or_default());
    same(new.count.unwrap_or_default() != old.count.unwrap_or_default(), "count", new.count.unwrap_or_default().into());
    for (new, old, field) in [
        (&new.first_timestamp, &old.first_timestamp, "firstTimestamp"),
        (&new.last_timestamp, &old.last_timestamp, "lastTimestamp"),
    ] {
        same(new != old, field, serde_json::to_value(new).unwrap_or_default());
    }
    same(new.event_time != old.event_time, "eventTime", serde_json::to_value(&new.event_time).unwrap_or_default());
    errors
}

fn series(event: &Event, errors: &mut ErrorList) {
    let Some(series) = &event.series else { return };
    let path = Path::new("series");
    if series.count.unwrap_or_default() < 2 {
        errors.push(Error::invalid(&path.child("count"), "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        errors.push(Error::required(&path.child("lastObservedTime"), ""));
    }
}
