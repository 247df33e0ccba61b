//! What a deployment must satisfy.

use api::IntOrString;
use api::apps::v1::{Deployment, DeploymentStrategy, RollingUpdateDeployment};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::apps::workload;
use crate::rules;

pub(super) fn deployment(deployment: &Deployment) -> ErrorList {
    let mut errors = ErrorList::new();
    let (spec, path) = (&deployment.spec, Path::new("spec"));
    rules::not_negative(spec.replicas.unwrap_or_default().into(), &path.child("replicas"), &mut errors);
    workload::selector_and_template(&spec.selector, &spec.template, &path, &mut errors);
    if let Some(strategy) = &spec.strategy {
        self::strategy(strategy, &path.child("strategy"), &mut errors);
    }
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    rules::not_negative(min_ready.into(), &path.child("minReadySeconds"), &mut errors);
    let history = spec.revision_history_limit.unwrap_or_default();
    rules::not_negative(history.into(), &path.child("revisionHistoryLimit"), &mut errors);
    if let Some(deadline) = spec.progress_deadline_seconds {
        let at = path.child("progressDeadlineSeconds");
        rules::not_negative(deadline.into(), &at, &mut errors);
        if deadline <= min_ready {
            errors.push(Error::invalid(&at, deadline, "must be greater than minReadySeconds"));
        }
    }
    errors
}

fn strategy(strategy: &DeploymentStrategy, path: &Path, errors: &mut ErrorList) {
    let at = path.child("rollingUpdate");
    match (rules::text(&strategy.type_), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            errors.push(Error::forbidden(&at, "may not be specified when strategy `type` is 'Recreate'"));
        }
        ("Recreate", None) => {}
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &at, errors),
        ("RollingUpdate", None) => {
            errors.push(Error::required(&at, "this should be defaulted and never be nil"));
        }
        _ => {
            let value = serde_json::to_value(strategy).unwrap_or_default();
            errors.push(Error::not_supported(path, value, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn rolling_update(rolling: &RollingUpdateDeployment, path: &Path, errors: &mut ErrorList) {
    let zero = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
    number_or_percent(unavailable, &path.child("maxUnavailable"), errors);
    number_or_percent(surge, &path.child("maxSurge"), errors);
    if scaled(unavailable) == Some(0) && scaled(surge) == Some(0) {
        let at = path.child("maxUnavailable");
        errors.push(Error::invalid_printed(&at, shown(unavailable), "may not be 0 when `maxSurge` is 0"));
    }
    if matches!(unavailable, IntOrString::String(_)) && scaled(unavailable).is_some_and(|percent| percent > 100) {
        let at = path.child("maxUnavailable");
        errors.push(Error::invalid_printed(&at, shown(unavailable), "must not be greater than 100%"));
    }
}

/// The number, whether or not it is a percentage.
fn scaled(value: &IntOrString) -> Option<i64> {
    match value {
        IntOrString::Int(number) => Some((*number).into()),
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok(),
    }
}

/// Upstream prints the struct.
fn shown(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => format!("{{\"type\":0,\"intVal\":{number}}}"),
        IntOrString::String(text) => format!("{{\"type\":1,\"strVal\":{}}}", apimachinery::field::quote(text)),
    }
}

fn number_or_percent(value: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match value {
        IntOrString::Int(number) => rules::not_negative((*number).into(), path, errors),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                let message = "a valid percent string must be a numeric string followed by an ending '%'";
                let why = validation::regex_error(message, "[0-9]+%", &["1%", "93%"]);
                errors.push(Error::invalid_printed(path, shown(value), why));
            }
        }
    }
}

pub(super) fn status(new: &Deployment, old: &Deployment) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = new.status.clone().unwrap_or_default();
    let number = |value: Option<i32>| i64::from(value.unwrap_or_default());
    let replicas = number(status.replicas);
    let (updated, ready) = (number(status.updated_replicas), number(status.ready_replicas));
    let available = number(status.available_replicas);
    workload::counts(
        &[
            (status.observed_generation.unwrap_or_default(), "observedGeneration"),
            (replicas, "replicas"),
            (updated, "updatedReplicas"),
            (ready, "readyReplicas"),
            (available, "availableReplicas"),
            (number(status.unavailable_replicas), "unavailableReplicas"),
            (number(status.terminating_replicas), "terminatingReplicas"),
            (number(status.collision_count), "collisionCount"),
        ],
        &mut errors,
    );
    workload::part_of((updated, "updatedReplicas"), (replicas, "status.replicas"), &mut errors);
    workload::part_of((ready, "readyReplicas"), (replicas, "status.replicas"), &mut errors);
    workload::part_of((available, "availableReplicas"), (replicas, "status.replicas"), &mut errors);
    workload::part_of((available, "availableReplicas"), (ready, "readyReplicas"), &mut errors);
    let before = old.status.as_ref().and_then(|status| status.collision_count);
    if status.collision_count.unwrap_or_default() < before.unwrap_or_default() {
        let at = Path::new("status").child("collisionCount");
        errors.push(Error::invalid(&at, number(status.collision_count), "cannot be decremented"));
    }
    errors
}
