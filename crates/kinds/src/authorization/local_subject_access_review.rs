//! `LocalSubjectAccessReview`: asks whether somebody may do something in one namespace.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now, Scope};

pub struct LocalSubjectAccessReview;

impl Kind for LocalSubjectAccessReview {
    type Object = v1::LocalSubjectAccessReview;

    const FACTS: Facts = Facts {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        singular: "localsubjectaccessreview",
        definition: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
        storage: "",
        scope: Scope::Namespaced,
        ..Facts::REVIEW
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
