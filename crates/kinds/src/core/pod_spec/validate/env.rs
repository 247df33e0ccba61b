//! Environment variables and where their values come from.

use api::core::v1::{
    ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector,
    ResourceFieldSelector, SecretKeySelector,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::{Quantity, validation};

use super::Cx;
use crate::rules;

/// Fields that a variable may show.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of a volume may show.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Fields that have a name here, whether or not they may be shown.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.host",
    "status.phase",
];
const RESOURCE_FIELDS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn variables(variables: &[EnvVar], cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        match variable.name.as_str() {
            "" => errors.push(Error::required(&path.child("name"), "")),
            name => rules::invalid_each(name, variable_name(name), &path.child("name"), errors),
        }
        if let Some(source) = &variable.value_from {
            let has_value = !rules::text(&variable.value).is_empty();
            value_from(source, has_value, cx, &path.child("valueFrom"), errors);
        }
    }
}

/// Anything a process can be given: visible ASCII without the sign that ends a name.
fn variable_name(name: &str) -> Vec<String> {
    const MESSAGE: &str =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    let bad = |c: char| !(c == ' ' || c.is_ascii_graphic()) || c == '=';
    if name.chars().any(bad) { vec![MESSAGE.to_owned()] } else { Vec::new() }
}

fn value_from(source: &EnvVarSource, has_value: bool, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        field_selector(field, ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        resource_selector(resource, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(ConfigMapKeySelector { name, key, .. }) = &source.config_map_key_ref {
        sources += 1;
        key_selector(name, key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(SecretKeySelector { name, key, .. }) = &source.secret_key_ref {
        sources += 1;
        key_selector(name, key, &path.child("secretKeyRef"), errors);
    }
    if let Some(file) = &source.file_key_ref {
        sources += 1;
        file_selector(file, cx, &path.child("fileKeyRef"), errors);
    }
    let mut refuse = |why: &str| errors.push(Error::invalid(path, "", why));
    if sources == 0 {
        refuse(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        );
    }
    if has_value {
        if sources != 0 {
            refuse("may not be specified when `value` is not empty");
        }
    } else if sources > 1 {
        refuse("may not have more than one field specified at a time");
    }
}

fn key_selector(name: &str, key: &str, path: &Path, errors: &mut ErrorList) {
    rules::subdomain(name, &path.child("name"), errors);
    match key {
        "" => errors.push(Error::required(&path.child("key"), "")),
        key => rules::invalid_each(key, rules::config_key(key), &path.child("key"), errors),
    }
}

fn file_selector(file: &FileKeySelector, cx: &Cx<'_>, path: &Path, errors: &mut ErrorList) {
    match file.key.as_str() {
        "" => errors.push(Error::required(&path.child("key"), "")),
        key => rules::invalid_each(key, variable_name(key), &path.child("key"), errors),
    }
    match cx.volumes.get(file.volume_name.as_str()) {
        _ if file.volume_name.is_empty() => errors.push(Error::required(&path.child("volumeName"), "")),
        None => errors.push(Error::not_found(&path.child("volumeName"), file.volume_name.clone())),
        Some(_) => {}
    }
    match file.path.as_str() {
        "" => errors.push(Error::required(&path.child("path"), "")),
        target => rules::unreserved_path(target, &path.child("path"), errors),
    }
}

/// A field of the pod, in a variable or a file.
pub(super) fn field_selector(field: &ObjectFieldSelector, allowed: &[&str], path: &Path, errors: &mut ErrorList) {
    if rules::text(&field.api_version).is_empty() {
        errors.push(Error::required(&path.child("apiVersion"), ""));
        return;
    }
    let at = path.child("fieldPath");
    if field.field_path.is_empty() {
        errors.push(Error::required(&at, ""));
        return;
    }
    let refuse =
        |why: String| Error::invalid(&at, field.field_path.as_str(), format!("error converting fieldPath: {why}"));
    if rules::text(&field.api_version) != "v1" {
        errors.push(refuse(format!("unsupported pod version: {}", rules::text(&field.api_version))));
        return;
    }
    match subscript(&field.field_path) {
        Some(("metadata.annotations", key)) => {
            rules::invalid_each(key, validation::qualified_name(&key.to_lowercase()), path, errors);
        }
        Some(("metadata.labels", key)) => rules::qualified_name(key, path, errors),
        Some(_) => errors.push(refuse(format!(
            "field label does not support subscript: {}",
            apimachinery::field::quote(&field.field_path)
        ))),
        None => {
            let known = ENV_FIELDS.contains(&field.field_path.as_str());
            if !known && !KNOWN_FIELDS.contains(&field.field_path.as_str()) {
                errors.push(refuse(format!("field label not supported: {}", field.field_path)));
                return;
            }
            let target = if field.field_path == "spec.host" { "spec.nodeName" } else { &field.field_path };
            rules::one_of(target, allowed, &at, errors);
        }
    }
}

/// The two parts of `metadata.labels['key']`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.split_once("['")?;
    Some((field, rest.strip_suffix("']")?))
}

/// A request or limit of a container, in a variable or a file.
pub(super) fn resource_selector(field: &ResourceFieldSelector, file: bool, path: &Path, errors: &mut ErrorList) {
    let resource = field.resource.as_str();
    let huge_pages = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if file && rules::text(&field.container_name).is_empty() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !huge_pages {
        rules::one_of(resource, RESOURCE_FIELDS, &path.child("resource"), errors);
    }
    divisor(field, path, errors);
}

fn divisor(field: &ResourceFieldSelector, path: &Path, errors: &mut ErrorList) {
    const CPU: &[&str] = &["1m", "1"];
    const BYTES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let Some(Ok(divisor)) = field.divisor.as_ref().map(|d| d.0.parse::<Quantity>()) else { return };
    let name = field.resource.split_once('.').map_or("", |(_, name)| name);
    let (allowed, what) = match name {
        "cpu" => (CPU, "cpu"),
        "memory" => (BYTES, "memory"),
        "ephemeral-storage" => (BYTES, "local ephemeral storage"),
        _ if name.starts_with("hugepages-") => (BYTES, "hugepages"),
        _ => return,
    };
    let printed = divisor.to_string();
    if !divisor.is_zero() && !allowed.contains(&printed.as_str()) {
        let values = if allowed == CPU { "1m and 1".to_owned() } else { BYTES.join(", ") };
        let why = format!("only divisor's values {values} are supported with the {what} resource");
        errors.push(Error::invalid(&path.child("divisor"), field.resource.clone(), why));
    }
}

pub(super) fn sources(sources: &[EnvFromSource], path: &Path, errors: &mut ErrorList) {
    for (index, source) in sources.iter().enumerate() {
        let at = path.index(index);
        let prefix = rules::text(&source.prefix);
        rules::invalid_each(prefix, variable_name(prefix), &at.child("prefix"), errors);
        let config_map = source.config_map_ref.as_ref().map(|r| (r.name.as_str(), "configMapRef"));
        let secret = source.secret_ref.as_ref().map(|r| (r.name.as_str(), "secretRef"));
        for (name, field) in [config_map, secret].into_iter().flatten() {
            let at = at.child(field).child("name");
            match name {
                "" => errors.push(Error::required(&at, "")),
                name => rules::subdomain(name, &at, errors),
            }
        }
        match (config_map, secret) {
            (None, None) => errors.push(Error::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            (Some(_), Some(_)) => {
                errors.push(Error::invalid(path, "", "may not have more than one field specified at a time"));
            }
            _ => {}
        }
    }
}
