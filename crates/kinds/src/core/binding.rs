//! `Binding`: says on which node a pod is to run. Made by the scheduler, never stored.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now, Scope};

pub struct Binding;

impl Kind for Binding {
    type Object = v1::Binding;

    const FACTS: Facts = Facts {
        kind: "Binding",
        plural: "bindings",
        singular: "binding",
        definition: "io.k8s.api.core.v1.Binding",
        storage: "",
        scope: Scope::Namespaced,
        ..Facts::REVIEW
    };

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
