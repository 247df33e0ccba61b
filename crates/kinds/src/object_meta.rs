//! Rules for the metadata that all objects have. Upstream's messages, word for word.

use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::{GroupVersion, Object, OwnerReference, validation};
use serde_json::Value;

use crate::{NameRule, Scope, names};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizers that need no prefix.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN, FOREGROUND];
const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
const FIELD_MANAGER_MAX_BYTES: usize = 128;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Judges the metadata of a new object, after its name is made.
pub fn validate(object: &Object, scope: Scope, name_rule: NameRule) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    let generate_name = object.generate_name();
    if !generate_name.is_empty() {
        let at = path.child("generateName");
        errors.extend(name_rule(generate_name, true).into_iter().map(|e| Error::invalid(&at, generate_name, e)));
    }
    errors.extend(validate_name(object.name(), name_rule, &path.child("name")));
    errors.extend(validate_namespace(object.namespace(), scope, &path.child("namespace")));
    if object.generation() < 0 {
        errors.push(Error::invalid(&path.child("generation"), object.generation(), NOT_NEGATIVE));
    }
    errors.extend(validate_shared(object));
    errors
}

/// Judges a change of metadata. The caller has carried over what a client may leave out (uid, resource version, ...).
pub fn validate_update(new: &Object, old: &Object) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    if new.resource_version().is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    if new.generation() < old.generation() {
        errors.push(Error::invalid(&path.child("generation"), new.generation(), "must not be decremented"));
    }
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let (new, old) = (new.get(&["metadata", field]), old.get(&["metadata", field]));
        let blank = |value: &&Value| !value.is_null() && value.as_str() != Some("");
        if new.filter(blank) != old.filter(blank) {
            errors.push(immutable(&path.child(field), new));
        }
    }
    errors.extend(validate_shared(new));
    if old.deletion_timestamp().is_some() {
        let extra: Vec<String> =
            new.finalizers().filter(|f| !old.finalizers().any(|o| o == *f)).map(apimachinery::field::quote).collect();
        if !extra.is_empty() {
            let found = format!("[]string{{{}}}", extra.join(", "));
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            errors.push(Error::forbidden(&path.child("finalizers"), format!("{why} {found}")));
        }
    }
    // Upstream asks the same twice, once for all kinds and once in each, and lists what it finds twice.
    let again: Vec<Error> = errors.iter().cloned().collect();
    errors.extend(again);
    errors
}

fn immutable(path: &Path, value: Option<&Value>) -> Error {
    let text = value.and_then(Value::as_str);
    match text.and_then(|text| text.parse::<api::jiff::Timestamp>().ok()) {
        Some(time) => Error::invalid_printed(path, time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(), IMMUTABLE),
        None if path.as_str().ends_with("Timestamp") => Error::invalid_printed(path, "null", IMMUTABLE),
        None => Error::invalid(path, value.cloned().unwrap_or_default(), IMMUTABLE),
    }
}

/// Judges a whole name.
pub fn validate_name(name: &str, rule: NameRule, path: &Path) -> ErrorList {
    if name.is_empty() {
        return Error::required(path, "name or generateName is required").into();
    }
    rule(name, false).into_iter().map(|e| Error::invalid(path, name, e)).collect()
}

fn validate_namespace(namespace: &str, scope: Scope, path: &Path) -> ErrorList {
    match (scope, namespace) {
        (Scope::Cluster, "") => ErrorList::new(),
        (Scope::Cluster, _) => Error::forbidden(path, "not allowed on this type").into(),
        (Scope::Namespaced, "") => Error::required(path, "").into(),
        (Scope::Namespaced, name) => {
            names::label(name, false).into_iter().map(|e| Error::invalid(path, name, e)).collect()
        }
    }
}

/// What holds for new and changed metadata alike.
fn validate_shared(object: &Object) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = validate_labels(object.labels(), &path.child("labels"));
    errors.extend(validate_annotations(object.annotations(), &path.child("annotations")));
    errors.extend(validate_owners(object, &path.child("ownerReferences")));
    errors.extend(validate_finalizers(object, &path.child("finalizers")));
    errors.extend(validate_managed_fields(object, &path.child("managedFields")));
    errors
}

/// Labels of objects, templates and selectors.
pub fn validate_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels {
        errors.extend(validation::qualified_name(key).into_iter().map(|e| Error::invalid(path, key, e)));
        errors.extend(validation::label_value(value).into_iter().map(|e| Error::invalid(path, value, e)));
    }
    errors
}

pub fn validate_annotations<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.len();
        let judged = validation::qualified_name(&key.to_lowercase());
        errors.extend(judged.into_iter().map(|e| Error::invalid(path, key, e)));
    }
    if size > ANNOTATIONS_MAX_BYTES {
        errors.push(Error::too_long(path, ANNOTATIONS_MAX_BYTES));
    }
    errors
}

fn validate_owners(object: &Object, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<OwnerReference<'_>> = None;
    for owner in object.owner_references() {
        errors.extend(validate_owner(&owner, path));
        if !owner.controller {
            continue;
        }
        match &controller {
            Some(first) => {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and \
                     {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                );
                let value = object.get(&["metadata", "ownerReferences"]).cloned().unwrap_or_default();
                errors.push(Error::invalid(path, value, why));
            }
            None => controller = Some(owner),
        }
    }
    errors
}

fn validate_owner(owner: &OwnerReference<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if GroupVersion::parse(owner.api_version).is_none_or(|gv| gv.version.is_empty()) {
        errors.push(Error::invalid(&path.child("apiVersion"), owner.api_version, "version must not be empty"));
    }
    for (field, value) in [("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)] {
        if value.is_empty() {
            errors.push(Error::invalid(&path.child(field), "", format!("{field} must not be empty")));
        }
    }
    if (owner.api_version, owner.kind) == ("v1", "Event") {
        let printed = format!("{{APIVersion:v1 Kind:Event Name:{} UID:{}}}", owner.name, owner.uid);
        errors.push(Error::invalid_printed(path, printed, "/v1, Kind=Event is disallowed from being an owner"));
    }
    errors
}

fn validate_finalizers(object: &Object, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, finalizer) in object.finalizers().enumerate() {
        errors.extend(validation::qualified_name(finalizer).into_iter().map(|e| Error::invalid(path, finalizer, e)));
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path.index(index), finalizer, why));
        }
    }
    let has = |name: &str| object.finalizers().any(|finalizer| finalizer == name);
    if has(ORPHAN) && has(FOREGROUND) {
        let value = object.get(&["metadata", "finalizers"]).cloned().unwrap_or_default();
        errors.push(Error::invalid(path, value, format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set")));
    }
    errors
}

fn validate_managed_fields(object: &Object, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let entries = object.get(&["metadata", "managedFields"]).and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let path = path.index(index);
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), text("operation"), "must be `Apply` or `Update`"));
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), text("fieldsType"), "must be `FieldsV1`"));
        }
        errors.extend(validate_field_manager(text("manager"), &path.child("manager")));
        if text("subresource").len() > 256 {
            errors.push(Error::too_long(&path.child("subresource"), 256));
        }
    }
    errors
}

/// The name under which a client owns fields, in a request or in `managedFields`.
pub fn validate_field_manager(manager: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        errors.push(Error::too_long(path, FIELD_MANAGER_MAX_BYTES));
    }
    if let Some((index, c)) = manager.chars().enumerate().find(|(_, c)| c.is_control()) {
        let why = format!("invalid character {c:?} (at position {index})");
        errors.push(Error::invalid(path, manager, why));
    }
    errors
}
