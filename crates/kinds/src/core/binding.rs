//! `Binding`: says on which node a pod is to run. Made by the scheduler, never stored.

use api::core::v1;
use apimachinery::Object;
use serde_json::Value;

use crate::print;
use crate::{Facts, Kind, Now, Scope};
use apimachinery::field::{Error, ErrorList, Path};

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

    fn validate(binding: &v1::Binding) -> ErrorList {
        let mut errors = ErrorList::new();
        let path = Path::new("target");
        let kind = binding.target.kind.as_deref().unwrap_or_default();
        if !kind.is_empty() && kind != "Node" {
            errors.push(Error::not_supported(&path.child("kind"), kind, &["Node", "<empty>"]));
        }
        if binding.target.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        errors
    }

    fn cells(object: &Object, _now: Now) -> Vec<Value> {
        vec![print::name(object), print::created_at(object)]
    }
}
