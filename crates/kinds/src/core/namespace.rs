//! `Namespace`: a scope for names.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Column, Facts, Kind, Now, Subresource, Verb};
use crate::{names, print};

pub struct Namespace;

impl Kind for Namespace {
    type Object = v1::Namespace;

    const FACTS: Facts = Facts {
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
        subresources: &[Subresource::Finalize, Subresource::Status],
        definition: "io.k8s.api.core.v1.Namespace",
        storage: "namespaces",
        name_rule: names::label,
        selectable: &["name", "status.phase"],
        columns: &[
            Column::name(),
            Column::new("Status", "string", "Whether the namespace is in use or being deleted."),
            Column::age(),
        ],
        ..Facts::CLUSTER
    };

    fn field(object: &Object, field: &str) -> Option<String> {
        match field {
            "name" => Some(object.name().to_owned()),
            "status.phase" => Some(print::text(object, &["status", "phase"]).to_owned()),
            _ => None,
        }
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![print::name(object), print::text(object, &["status", "phase"]), print::age(object, now)]
    }
}
