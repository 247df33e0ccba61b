//! `Secret`: data for pods that is a secret.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now};

pub struct Secret;

impl Kind for Secret {
    type Object = v1::Secret;

    const FACTS: Facts = Facts {
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        definition: "io.k8s.api.core.v1.Secret",
        storage: "secrets",
        selectable: &["type"],
        columns: &[
            Column::name(),
            Column::new("Type", "string", "What the data is, for programs that read it."),
            Column::new("Data", "string", "Number of keys."),
            Column::age(),
        ],
        ..Facts::NAMESPACED
    };

    fn field(object: &Object, field: &str) -> Option<String> {
        (field == "type").then(|| print::text(object, &["type"]).to_owned())
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        cells![
            print::name(object),
            print::text(object, &["type"]),
            print::count(object, &["data"]),
            print::age(object, now)
        ]
    }
}
