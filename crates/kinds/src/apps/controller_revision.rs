//! `ControllerRevision`: a past state of a workload, to go back to.

use api::apps::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::{Column, Facts, Kind, Now};
use apimachinery::GroupKind;

use crate::print;
use crate::rules;
use apimachinery::field::{Error, ErrorList, Path};

pub struct ControllerRevision;

impl Kind for ControllerRevision {
    type Object = v1::ControllerRevision;

    const FACTS: Facts = Facts {
        group: "apps",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        definition: "io.k8s.api.apps.v1.ControllerRevision",
        storage: "controllerrevisions",
        columns: &[
            Column::name(),
            Column::new("Controller", "string", "The workload this revision belongs to."),
            Column::new("Revision", "string", "Number of the revision; later ones are larger."),
            Column::age(),
        ],
        ..Facts::NAMESPACED
    };

    fn validate(revision: &v1::ControllerRevision) -> ErrorList {
        let mut errors = ErrorList::new();
        if revision.data.0.is_null() {
            errors.push(Error::required(&Path::new("data"), "data is mandatory"));
        }
        rules::not_negative(revision.revision.unwrap_or_default(), &Path::new("revision"), &mut errors);
        errors
    }

    fn validate_update(new: &v1::ControllerRevision, old: &v1::ControllerRevision) -> ErrorList {
        let mut errors = Self::validate(new);
        rules::immutable(&new.data, &old.data, &Path::new("data"), &mut errors);
        errors
    }

    fn cells(object: &Object, now: Now) -> Vec<Value> {
        let controller = object.controller().map_or_else(
            || print::NONE.to_owned(),
            |owner| {
                let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
                format!("{}/{}", GroupKind::new(group, owner.kind).to_string().to_lowercase(), owner.name)
            },
        );
        cells![print::name(object), controller, print::number(object, &["revision"]), print::age(object, now)]
    }
}
