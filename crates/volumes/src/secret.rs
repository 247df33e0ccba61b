//! A Secret shown as files, in memory only.

use std::collections::BTreeMap;

use api::core::v1::{SecretProjection, SecretVolumeSource};

use crate::{
    Error, Gathered,
    payload::{Payload, select},
};

pub(crate) const DEFAULT_MODE: i32 = 0o644;

pub(crate) fn payload(source: &SecretVolumeSource, gathered: &Gathered) -> Result<Payload, Error> {
    let projection = SecretProjection {
        name: source.secret_name.clone().unwrap_or_default(),
        items: source.items.clone(),
        optional: source.optional,
    };
    let mut payload = Payload::new();
    project(&mut payload, &projection, source.default_mode.unwrap_or(DEFAULT_MODE), gathered)?;
    Ok(payload)
}

pub(crate) fn project(
    payload: &mut Payload,
    source: &SecretProjection,
    mode: i32,
    gathered: &Gathered,
) -> Result<(), Error> {
    let name = || source.name.clone();
    let optional = source.optional == Some(true);
    let found = gathered.secrets.get(&source.name);
    match found.ok_or_else(|| Error::NotGathered { kind: "secret", name: name() })? {
        Some(found) => {
            let data: BTreeMap<String, Vec<u8>> =
                found.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect();
            select(payload, &data, source.items.as_ref(), mode, optional, "secret")
        }
        None if optional => Ok(()),
        None => Err(Error::NotFound { kind: "secret", name: name() }),
    }
}
