//! Making and deleting pods for a controller, with the events upstream's controllers write about it.

use std::collections::BTreeMap;

use api::{
    core::v1::{ObjectReference, Pod, PodTemplateSpec},
    meta::{ObjectMeta, OwnerReference},
};
use client::{Api, ApiError, DeleteParams, Error, PostParams, Preconditions, events::Recorder};

/// Pure: the pod a template describes, to be named by the server after its owner.
pub(crate) fn pod_from_template(template: &PodTemplateSpec, owner: OwnerReference, owner_name: &str) -> Pod {
    let given = template.metadata.clone().unwrap_or_default();
    let not_empty = |map: Option<BTreeMap<String, String>>| map.filter(|map| !map.is_empty());
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{owner_name}-")),
            labels: not_empty(given.labels),
            annotations: not_empty(given.annotations),
            finalizers: given.finalizers.filter(|f| !f.is_empty()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Makes and deletes pods of one owner.
pub(crate) struct PodControl<'a> {
    pub(crate) pods: Api<Pod>,
    pub(crate) recorder: &'a Recorder,
    pub(crate) owner: ObjectReference,
}

impl PodControl<'_> {
    pub(crate) async fn create(&self, pod: &Pod) -> Result<Pod, Error> {
        let created = self.pods.create(&PostParams::default(), pod).await;
        match &created {
            Ok(pod) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                self.recorder.normal(&self.owner, "SuccessfulCreate", format!("Created pod: {name}"));
            }
            // Nobody can read events of a namespace that is going away.
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => {
                self.recorder.warning(&self.owner, "FailedCreate", format!("Error creating: {}", error.message()));
            }
        }
        created
    }

    /// Deletes this pod and no other of its name. One that is gone is deleted.
    pub(crate) async fn delete(&self, name: &str, uid: &str) -> Result<(), Error> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.pods.delete(name, &params).await {
            Ok(_) => {
                self.recorder.normal(&self.owner, "SuccessfulDelete", format!("Deleted pod: {name}"));
                Ok(())
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => {
                self.recorder.warning(&self.owner, "FailedDelete", format!("Error deleting: {}", error.message()));
                Err(error)
            }
        }
    }
}
