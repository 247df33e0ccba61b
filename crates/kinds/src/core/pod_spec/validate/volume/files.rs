//! Volumes whose files come from the API: config maps, secrets, fields of the pod.

use api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource, GitRepoVolumeSource, KeyToPath,
    SecretVolumeSource,
};
use apimachinery::field::{Error, ErrorList, Path};

use crate::core::pod_spec::validate::env;
use crate::rules;

pub(in crate::core::pod_spec::validate) fn mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(Error::invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive"));
    }
}

/// Keys and the files they become.
pub(in crate::core::pod_spec::validate) fn items(items: &Option<Vec<KeyToPath>>, path: &Path, errors: &mut ErrorList) {
    for (index, item) in rules::slice(items).iter().enumerate() {
        let path = path.child("items").index(index);
        rules::required(&item.key, &path.child("key"), errors);
        file_path(&item.path, &path.child("path"), errors);
        mode(item.mode, &path.child("mode"), errors);
    }
}

fn file_path(target: &str, path: &Path, errors: &mut ErrorList) {
    match target {
        "" => errors.push(Error::required(path, "")),
        target => rules::unreserved_path(target, path, errors),
    }
}

pub(super) fn secret(source: &SecretVolumeSource, path: &Path, errors: &mut ErrorList) {
    rules::required(rules::text(&source.secret_name), &path.child("secretName"), errors);
    mode(source.default_mode, &path.child("defaultMode"), errors);
    items(&source.items, path, errors);
}

pub(super) fn config_map(source: &ConfigMapVolumeSource, path: &Path, errors: &mut ErrorList) {
    rules::required(&source.name, &path.child("name"), errors);
    mode(source.default_mode, &path.child("defaultMode"), errors);
    items(&source.items, path, errors);
}

pub(super) fn downward_api(source: &DownwardAPIVolumeSource, path: &Path, errors: &mut ErrorList) {
    mode(source.default_mode, &path.child("defaultMode"), errors);
    for file in rules::slice(&source.items) {
        downward_api_file(file, path, errors);
    }
}

/// Upstream names the source, not the file, when a file is wrong.
pub(in crate::core::pod_spec::validate) fn downward_api_file(
    file: &DownwardAPIVolumeFile,
    path: &Path,
    errors: &mut ErrorList,
) {
    rules::required(&file.path, &path.child("path"), errors);
    rules::unreserved_path(&file.path, &path.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            env::field_selector(field, env::FILE_FIELDS, &path.child("fieldRef"), errors);
            if resource.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", why));
            }
        }
        (None, Some(resource)) => env::resource_selector(resource, true, &path.child("resourceFieldRef"), errors),
        (None, None) => errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    mode(file.mode, &path.child("mode"), errors);
}

pub(super) fn git_repo(source: &GitRepoVolumeSource, path: &Path, errors: &mut ErrorList) {
    rules::required(&source.repository, &path.child("repository"), errors);
    rules::descending_path(rules::text(&source.directory), &path.child("directory"), errors);
}
