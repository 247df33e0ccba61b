//! Facts of the pod itself shown as files.

use api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod};

use crate::{
    Error, NodeFacts, field_ref,
    payload::{Payload, insert},
};

pub(crate) const DEFAULT_MODE: i32 = 0o644;

pub(crate) fn payload(source: &DownwardAPIVolumeSource, pod: &Pod, node: &NodeFacts) -> Result<Payload, Error> {
    let mut payload = Payload::new();
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    project(&mut payload, source.items.iter().flatten(), mode, pod, node)?;
    Ok(payload)
}

pub(crate) fn project<'a>(
    payload: &mut Payload,
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    mode: i32,
    pod: &Pod,
    node: &NodeFacts,
) -> Result<(), Error> {
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_ref::pod_field(pod, &field.field_path)?,
            (None, Some(resource)) => {
                let container = resource.container_name.as_deref().unwrap_or_default();
                field_ref::resource_field(pod, container, resource, node)?
            }
            (None, None) => continue,
        };
        insert(payload, &item.path, text.into_bytes(), item.mode.unwrap_or(mode), None)?;
    }
    Ok(())
}
