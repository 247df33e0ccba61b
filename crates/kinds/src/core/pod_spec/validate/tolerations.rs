//! Tolerations, and the effects of the taints they tolerate.

use api::core::v1::Toleration;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::rules;

pub(crate) fn tolerations(tolerations: &[Toleration], path: &Path, errors: &mut ErrorList) {
    for (index, toleration) in tolerations.iter().enumerate() {
        one(toleration, &path.index(index), errors);
    }
}

fn one(toleration: &Toleration, path: &Path, errors: &mut ErrorList) {
    let key = rules::text(&toleration.key);
    let (operator, value) = (rules::text(&toleration.operator), rules::text(&toleration.value));
    let at = path.child("operator");
    if !key.is_empty() {
        rules::qualified_name(key, &path.child("key"), errors);
    } else if operator != "Exists" {
        let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(Error::invalid(&at, operator, why));
    }
    let effect = rules::text(&toleration.effect);
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(Error::invalid(&path.child("effect"), effect, why));
    }
    match operator {
        "" | "Equal" => {
            let judged = validation::label_value(value);
            if !judged.is_empty() {
                errors.push(Error::invalid(&at, value, judged.join(";")));
            }
        }
        "Exists" => {
            if !value.is_empty() {
                errors.push(Error::invalid(&at, value, "value must be empty when `operator` is 'Exists'"));
            }
        }
        other => errors.push(Error::not_supported(&at, other, &["Equal", "Exists"])),
    }
    if !effect.is_empty() {
        taint_effect(effect, &path.child("effect"), errors);
    }
}

pub(crate) fn taint_effect(effect: &str, path: &Path, errors: &mut ErrorList) {
    rules::one_of(effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"], path, errors);
}
