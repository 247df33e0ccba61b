//! `SelfSubjectRulesReview`: asks what the asker may do in a namespace.

use api::authorization::v1;
use apimachinery::Object;
use serde_json::Value;

use super::attributes;
use crate::print;
use crate::{Facts, Kind, Now};
use apimachinery::GroupKind;

pub struct SelfSubjectRulesReview;

impl Kind for SelfSubjectRulesReview {
    type Object = v1::SelfSubjectRulesReview;

    const FACTS: Facts = Facts {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        definition: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
        storage: "",
        ..Facts::REVIEW
    };

    fn blamed() -> GroupKind {
        attributes::blamed()
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
