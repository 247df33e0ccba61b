//! `Secret`: data for pods that is a secret.

mod validate;

use api::{ByteString, core::v1};
use apimachinery::Object;
use serde_json::Value;

use super::pod_spec::defaults::set_text;
use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now};
use apimachinery::field::{Error, ErrorList, Path};

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

    fn validate(secret: &v1::Secret) -> ErrorList {
        validate::secret(secret)
    }

    fn validate_update(new: &v1::Secret, old: &v1::Secret) -> ErrorList {
        let mut errors = ErrorList::new();
        rules::immutable(&new.type_, &old.type_, &Path::new("type"), &mut errors);
        if old.immutable == Some(true) {
            sealed(new.immutable, new.data != old.data, "data", &mut errors);
        }
        errors.extend(validate::secret(new));
        errors
    }

    fn warnings(secret: &v1::Secret) -> Vec<String> {
        validate::warnings(secret)
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

/// The most that a secret or config map may hold.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
pub(super) const SEALED: &str = "field is immutable when `immutable` is set";

/// An object declared immutable stays so, and so does its data.
pub(super) fn sealed(immutable: Option<bool>, data_changed: bool, data: &str, errors: &mut ErrorList) {
    if immutable != Some(true) {
        errors.push(Error::forbidden(&Path::new("immutable"), SEALED));
    }
    if data_changed {
        errors.push(Error::forbidden(&Path::new(data), SEALED));
    }
}
