//! The environment of a container: its own variables, those from ConfigMaps and Secrets, the downward API, and the
//! variables of Services.

mod services;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret, Service};
use volumes::NodeFacts;

use super::expansion::expand;
pub(crate) use services::service_variables;

/// What variables are made from.
pub(crate) struct Sources<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    /// Of the pod once its sandbox is up.
    pub(crate) pod_ips: &'a [String],
    pub(crate) host_ips: &'a [String],
    /// `None` says it was looked for and is not there.
    pub(crate) config_maps: &'a HashMap<String, Option<Arc<ConfigMap>>>,
    pub(crate) secrets: &'a HashMap<String, Option<Arc<Secret>>>,
    pub(crate) node: &'a NodeFacts,
    /// Services the pod gets variables for.
    pub(crate) services: &'a [Service],
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    MissingKey { kind: &'static str, key: String, namespace: String, name: String },
    #[error("environment variable {0}: fileKeyRef is not supported by this node")]
    FileKey(String),
    #[error(transparent)]
    Field(#[from] volumes::Error),
}

/// The names of ConfigMaps and Secrets a container's environment reads.
pub(crate) fn references(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut config_maps, mut secrets) = (Vec::new(), Vec::new());
    for from in container.env_from.iter().flatten() {
        config_maps.extend(from.config_map_ref.iter().map(|r| r.name.clone()));
        secrets.extend(from.secret_ref.iter().map(|r| r.name.clone()));
    }
    for from in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        config_maps.extend(from.config_map_key_ref.iter().map(|r| r.name.clone()));
        secrets.extend(from.secret_key_ref.iter().map(|r| r.name.clone()));
    }
    (config_maps, secrets)
}

/// Variables in their order; names occur once.
pub(crate) fn environment(sources: &Sources<'_>) -> Result<Vec<(String, String)>, EnvError> {
    let mut made = Variables::default();
    let service = service_variables(sources.services);
    from_whole_objects(sources, &mut made)?;
    for variable in sources.container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => {
                let lookup = |name: &str| made.find(name).or_else(|| service.get(name).cloned());
                Some(expand(variable.value.as_deref().unwrap_or_default(), &lookup))
            }
            Some(from) => value_from(sources, variable, from)?,
        };
        if let Some(value) = value {
            made.set(&variable.name, value);
        }
    }
    for (name, value) in service {
        if made.find(&name).is_none() {
            made.set(&name, value);
        }
    }
    Ok(made.list)
}

#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Variables {
    fn find(&self, name: &str) -> Option<String> {
        self.places.get(name).map(|place| self.list[*place].1.clone())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.list[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.list.len());
                self.list.push((name.to_owned(), value));
            }
        }
    }
}

fn from_whole_objects(sources: &Sources<'_>, made: &mut Variables) -> Result<(), EnvError> {
    for from in sources.container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let mut data = BTreeMap::new();
        if let Some(reference) = &from.config_map_ref {
            let found = sources.config_maps.get(&reference.name).and_then(Option::as_ref);
            match found {
                Some(map) => data.extend(map.data.clone().unwrap_or_default()),
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::NotFound { kind: "configmap", name: reference.name.clone() }),
            }
        }
        if let Some(reference) = &from.secret_ref {
            let found = sources.secrets.get(&reference.name).and_then(Option::as_ref);
            match found {
                Some(secret) => data.extend(secret.data.iter().flatten().map(|(k, v)| (k.clone(), text(&v.0)))),
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::NotFound { kind: "secret", name: reference.name.clone() }),
            }
        }
        for (key, value) in data {
            let name = format!("{prefix}{key}");
            if is_variable_name(&name) {
                made.set(&name, value);
            }
        }
    }
    Ok(())
}

/// Upstream's relaxed rule: printable ASCII, and no equals sign.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=')
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `None` where an optional reference leads nowhere: the variable is then not set at all.
fn value_from(sources: &Sources<'_>, variable: &EnvVar, from: &EnvVarSource) -> Result<Option<String>, EnvError> {
    let namespace = || sources.pod.metadata.namespace.clone().unwrap_or_default();
    if let Some(field) = &from.field_ref {
        return Ok(Some(field_value(sources, &field.field_path)?));
    }
    if let Some(field) = &from.resource_field_ref {
        let container = field.container_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&sources.container.name);
        return Ok(Some(volumes::field_ref::resource_field(sources.pod, container, field, sources.node)?));
    }
    if let Some(key) = &from.config_map_key_ref {
        let optional = key.optional == Some(true);
        let Some(map) = sources.config_maps.get(&key.name).and_then(Option::as_ref) else {
            return absent(optional, || EnvError::NotFound { kind: "configmap", name: key.name.clone() });
        };
        return match map.data.as_ref().and_then(|d| d.get(&key.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => absent(optional, || EnvError::MissingKey {
                kind: "ConfigMap",
                key: key.key.clone(),
                namespace: namespace(),
                name: key.name.clone(),
            }),
        };
    }
    if let Some(key) = &from.secret_key_ref {
        let optional = key.optional == Some(true);
        let Some(secret) = sources.secrets.get(&key.name).and_then(Option::as_ref) else {
            return absent(optional, || EnvError::NotFound { kind: "secret", name: key.name.clone() });
        };
        return match secret.data.as_ref().and_then(|d| d.get(&key.key)) {
            Some(value) => Ok(Some(text(&value.0))),
            None => absent(optional, || EnvError::MissingKey {
                kind: "Secret",
                key: key.key.clone(),
                namespace: namespace(),
                name: key.name.clone(),
            }),
        };
    }
    if from.file_key_ref.is_some() {
        return Err(EnvError::FileKey(variable.name.clone()));
    }
    Ok(Some(String::new()))
}

fn absent(optional: bool, error: impl FnOnce() -> EnvError) -> Result<Option<String>, EnvError> {
    if optional { Ok(None) } else { Err(error()) }
}

fn field_value(sources: &Sources<'_>, path: &str) -> Result<String, volumes::Error> {
    let first = |ips: &[String]| ips.first().cloned().unwrap_or_default();
    Ok(match path {
        "status.podIP" => first(sources.pod_ips),
        "status.podIPs" => sources.pod_ips.join(","),
        "status.hostIP" => first(sources.host_ips),
        "status.hostIPs" => sources.host_ips.join(","),
        path => volumes::field_ref::pod_field(sources.pod, path)?,
    })
}

#[cfg(test)]
mod tests;
