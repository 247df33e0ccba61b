//! Rules that deployments and replica sets share.

use api::core::v1::PodTemplateSpec;
use api::meta::LabelSelector;
use apimachinery::LabelSelector as Selector;
use apimachinery::field::{Error, ErrorList, Path};

use crate::core::pod_spec;
use crate::rules;

/// A replica set that lasts: its pods run until deleted, and its selector finds them.
pub(super) fn selector_and_template(
    selector: &LabelSelector,
    template: &PodTemplateSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    let at = path.child("selector");
    let value = serde_json::to_value(selector).unwrap_or_default();
    let is_empty = rules::is_empty_selector(selector);
    if is_empty {
        errors.push(Error::required(&at, ""));
    }
    rules::label_selector(selector, &at, errors);
    match Selector::from_object(Some(&value)) {
        Err(_) => errors.push(Error::invalid(&at, value, "invalid label selector")),
        Ok(selector) => {
            let labels = template.metadata.as_ref().and_then(|m| m.labels.as_ref());
            let get = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
            if is_empty || !selector.matches(get) {
                let at = path.children(&["template", "metadata", "labels"]);
                let shown = serde_json::to_value(labels.cloned().unwrap_or_default()).unwrap_or_default();
                errors.push(Error::invalid(&at, shown, "`selector` does not match template `labels`"));
            }
            lasting_template(template, &path.child("template"), errors);
        }
    }
}

fn lasting_template(template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    pod_spec::validate::template(template, path, errors);
    let Some(spec) = &template.spec else { return };
    let policy = rules::text(&spec.restart_policy);
    if policy != "Always" {
        errors.push(Error::not_supported(&path.children(&["spec", "restartPolicy"]), policy, &["Always"]));
    }
    if spec.active_deadline_seconds.is_some() {
        let at = path.children(&["spec", "activeDeadlineSeconds"]);
        errors.push(Error::forbidden(&at, "activeDeadlineSeconds in ReplicaSet is not Supported"));
    }
}

/// Numbers of a status, none of which may be below 0.
pub(super) fn counts(counts: &[(i64, &str)], errors: &mut ErrorList) {
    let status = Path::new("status");
    for (count, field) in counts {
        rules::not_negative(*count, &status.child(field), errors);
    }
}

/// A part cannot be larger than the whole.
pub(super) fn part_of(part: (i64, &str), whole: (i64, &str), errors: &mut ErrorList) {
    if part.0 > whole.0 {
        let why = format!("cannot be greater than {}", whole.1);
        errors.push(Error::invalid(&Path::new("status").child(part.1), part.0, why));
    }
}
