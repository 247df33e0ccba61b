//! `ConfigMap`: data for pods that is no secret.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::rules;
use crate::{Column, Facts, Kind, Now};
use apimachinery::field::{Error, ErrorList, Path};

pub struct ConfigMap;

impl Kind for ConfigMap {
    type Object = v1::ConfigMap;

    const FACTS: Facts = Facts {
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        definition: "io.k8s.api.core.v1.ConfigMap",
        storage: "configmaps",
        columns: &[
            Column::name(),
            Column::new("Data", "string", "Number of keys, text and binary together."),
            Column::age(),
        ],
        ..Facts::NAMESPACED
    };

    fn validate(map: &v1::ConfigMap) -> ErrorList {
        let mut errors = ErrorList::new();
        let (data, binary) = (map.data.clone().unwrap_or_default(), map.binary_data.clone().unwrap_or_default());
        let sizes = data.values().map(String::len).chain(binary.values().map(|bytes| bytes.0.len()));
        let size: usize = sizes.sum();
        for key in data.keys() {
            self::key(key, binary.contains_key(key).then_some("binaryData"), &Path::new("data"), &mut errors);
        }
        for key in binary.keys() {
            self::key(key, data.contains_key(key).then_some("data"), &Path::new("binaryData"), &mut errors);
        }
        if size > super::secret::MAX_BYTES {
            // So upstream shows a path without a name.
            errors.push(Error::too_long(&Path::new("[]"), super::secret::MAX_BYTES));
        }
        errors
    }

    fn validate_update(new: &v1::ConfigMap, old: &v1::ConfigMap) -> ErrorList {
        let mut errors = ErrorList::new();
        if old.immutable == Some(true) {
            super::secret::sealed(new.immutable, new.data != old.data, "data", &mut errors);
            if new.binary_data != old.binary_data {
                errors.push(Error::forbidden(&Path::new("binaryData"), super::secret::SEALED));
            }
        }
        errors.extend(Self::validate(new));
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let entries = print::count(object, &["data"]) + print::count(object, &["binaryData"]);
        cells![print::name(object), entries, print::age(object, now)]
    }
}

fn key(key: &str, other: Option<&str>, path: &Path, errors: &mut ErrorList) {
    let path = path.key(key);
    rules::invalid_each(key, rules::config_key(key), &path, errors);
    if let Some(other) = other {
        errors.push(Error::invalid(&path, key, format!("duplicate of key present in {other}")));
    }
}
