//! `ConfigMap`: data for pods that is no secret.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Column, Facts, Kind, Now};

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

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let entries = print::count(object, &["data"]) + print::count(object, &["binaryData"]);
        cells![print::name(object), entries, print::age(object, now)]
    }
}
