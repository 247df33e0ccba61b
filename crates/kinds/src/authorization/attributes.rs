//! What a review asks about: a resource or a path, exactly one.

use api::authorization::v1::{NonResourceAttributes, ResourceAttributes};
use apimachinery::GroupKind;
use apimachinery::field::{Error, ErrorList, Path};

/// Upstream refuses reviews without naming their kind.
pub(super) fn blamed() -> GroupKind {
    GroupKind::new("authorization.k8s.io", "")
}

pub(super) fn validate(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
    errors: &mut ErrorList,
) {
    let spec = Path::new("spec");
    match (resource, path) {
        (Some(_), Some(path)) => {
            let value = serde_json::to_value(path).unwrap_or_default();
            let why = "cannot be specified in combination with resourceAttributes";
            errors.push(Error::invalid(&spec.child("nonResourceAttributes"), value, why));
        }
        (None, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(Error::invalid(&spec.child("resourceAttributes"), "null", why));
        }
        _ => {}
    }
}

/// Somebody must be asked about.
pub(super) fn somebody(user: &Option<String>, groups: &Option<Vec<String>>, errors: &mut ErrorList) {
    let user = user.as_deref().unwrap_or_default();
    if user.is_empty() && groups.as_ref().is_none_or(Vec::is_empty) {
        let at = Path::new("spec").child("user");
        errors.push(Error::invalid(&at, user, "at least one of user or group must be specified"));
    }
}
