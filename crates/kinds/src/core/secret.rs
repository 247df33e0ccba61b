//! `Secret`: data for pods that is a secret.

use api::{ByteString, core::v1};
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec::defaults::set_text;
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

    fn default(secret: &mut v1::Secret) {
        if let Some(texts) = secret.string_data.take() {
            let data = secret.data.get_or_insert_default();
            data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
        }
        set_text(&mut secret.type_, "Opaque");
    }

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
