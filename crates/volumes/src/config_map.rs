//! A ConfigMap shown as files.

use std::collections::BTreeMap;

use api::core::v1::{ConfigMap, ConfigMapProjection, ConfigMapVolumeSource};

use crate::{
    Error, Gathered,
    payload::{Payload, select},
};

pub(crate) const DEFAULT_MODE: i32 = 0o644;

pub(crate) fn payload(source: &ConfigMapVolumeSource, gathered: &Gathered) -> Result<Payload, Error> {
    let projection =
        ConfigMapProjection { name: source.name.clone(), items: source.items.clone(), optional: source.optional };
    let mut payload = Payload::new();
    project(&mut payload, &projection, source.default_mode.unwrap_or(DEFAULT_MODE), gathered)?;
    Ok(payload)
}

pub(crate) fn project(
    payload: &mut Payload,
    source: &ConfigMapProjection,
    mode: i32,
    gathered: &Gathered,
) -> Result<(), Error> {
    let name = || source.name.clone();
    let optional = source.optional == Some(true);
    let found = gathered.config_maps.get(&source.name);
    match found.ok_or_else(|| Error::NotGathered { kind: "configmap", name: name() })? {
        Some(found) => select(payload, &data(found), source.items.as_ref(), mode, optional, "config"),
        None if optional => Ok(()),
        None => Err(Error::NotFound { kind: "configmap", name: name() }),
    }
}

fn data(config_map: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = config_map.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes()));
    text.chain(config_map.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone()))).collect()
}
