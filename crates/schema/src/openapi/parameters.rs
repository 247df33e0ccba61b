//! The parameters of requests.

use serde_json::{Value, json};

use super::Form;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
}

pub(super) type Query = (&'static str, Kind);

const PRETTY: Query = ("pretty", Kind::Text);

pub(super) const GET: &[Query] = &[];
pub(super) const LIST: &[Query] = &[
    ("allowWatchBookmarks", Kind::Boolean),
    ("continue", Kind::Text),
    ("fieldSelector", Kind::Text),
    ("labelSelector", Kind::Text),
    ("limit", Kind::Integer),
    ("resourceVersion", Kind::Text),
    ("resourceVersionMatch", Kind::Text),
    ("sendInitialEvents", Kind::Boolean),
    ("timeoutSeconds", Kind::Integer),
    ("watch", Kind::Boolean),
];
pub(super) const WRITE: &[Query] =
    &[("dryRun", Kind::Text), ("fieldManager", Kind::Text), ("fieldValidation", Kind::Text)];
pub(super) const PATCH: &[Query] =
    &[("dryRun", Kind::Text), ("fieldManager", Kind::Text), ("fieldValidation", Kind::Text), ("force", Kind::Boolean)];
pub(super) const DELETE: &[Query] = &[
    ("dryRun", Kind::Text),
    ("gracePeriodSeconds", Kind::Integer),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", Kind::Boolean),
    ("orphanDependents", Kind::Boolean),
    ("propagationPolicy", Kind::Text),
];
pub(super) const DELETE_COLLECTION: &[Query] = &[
    ("continue", Kind::Text),
    ("dryRun", Kind::Text),
    ("fieldSelector", Kind::Text),
    ("gracePeriodSeconds", Kind::Integer),
    ("labelSelector", Kind::Text),
    ("limit", Kind::Integer),
    ("orphanDependents", Kind::Boolean),
    ("propagationPolicy", Kind::Text),
    ("resourceVersion", Kind::Text),
    ("resourceVersionMatch", Kind::Text),
    ("timeoutSeconds", Kind::Integer),
];

/// The parameters of subresources that are streams or text instead of objects.
pub(super) fn of_stream(subresource: &str) -> &'static [Query] {
    const EXEC: &[Query] = &[
        ("command", Kind::Text),
        ("container", Kind::Text),
        ("stderr", Kind::Boolean),
        ("stdin", Kind::Boolean),
        ("stdout", Kind::Boolean),
        ("tty", Kind::Boolean),
    ];
    match subresource {
        "exec" => EXEC,
        "attach" => &EXEC[1..],
        "portforward" => &[("ports", Kind::Integer)],
        "proxy" => &[("path", Kind::Text)],
        "log" => &[
            ("container", Kind::Text),
            ("follow", Kind::Boolean),
            ("insecureSkipTLSVerifyBackend", Kind::Boolean),
            ("limitBytes", Kind::Integer),
            ("previous", Kind::Boolean),
            ("sinceSeconds", Kind::Integer),
            ("stream", Kind::Text),
            ("tailLines", Kind::Integer),
            ("timestamps", Kind::Boolean),
        ],
        _ => &[],
    }
}

pub(super) fn query(form: Form, queries: &[Query]) -> Vec<Value> {
    queries.iter().map(|(name, kind)| parameter(form, name, "query", *kind)).collect()
}

/// The parameters that all operations on a path share.
pub(super) fn of_path(form: Form, named: bool, namespaced: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    for (is, name) in [(named, "name"), (namespaced, "namespace")] {
        if is {
            let mut path = parameter(form, name, "path", Kind::Text);
            path["required"] = true.into();
            parameters.push(path);
        }
    }
    parameters.push(parameter(form, PRETTY.0, "query", PRETTY.1));
    parameters
}

fn parameter(form: Form, name: &str, place: &str, kind: Kind) -> Value {
    let kind = match kind {
        Kind::Text => "string",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
    };
    match form {
        Form::V2 => json!({"name": name, "in": place, "type": kind, "uniqueItems": true}),
        Form::V3 => json!({"name": name, "in": place, "schema": {"type": kind, "uniqueItems": true}}),
    }
}
