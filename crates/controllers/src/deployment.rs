//! The deployment controller: replaces the pods of one template by those of the next, as fast as the strategy allows.

mod conditions;
mod hash;
mod plan;
mod revision;
mod sizes;
mod status;

use api::{
    apps::v1::{Deployment, DeploymentStatus, ReplicaSet},
    conditions::is_pod_finished,
    core::v1::Pod,
    jiff::Timestamp,
    object_reference, owner_reference,
};
use client::{Api, ApiError, DeleteParams, PostParams, Preconditions};
use controller_runtime::{Controller, Error, Key, Ledger, Lister, Next, Watch};

use self::plan::{Observed, Plan, Step, plan};
use crate::{
    claim::{Claimer, orphan_keys, selector},
    context::Context,
};

pub(crate) struct DeploymentController {
    context: Context,
    deployments: Lister<Deployment>,
    sets: Lister<ReplicaSet>,
    pods: Lister<Pod>,
    ledger: Ledger,
}

impl DeploymentController {
    pub(crate) fn new(context: Context) -> Self {
        let (deployments, sets, pods) =
            (context.informers.watch(), context.informers.watch(), context.informers.watch());
        Self { context, deployments, sets, pods, ledger: Ledger::default() }
    }
}

fn deployment_selector(deployment: &Deployment) -> Option<apimachinery::LabelSelector> {
    selector(&deployment.spec.selector)
}

impl Controller for DeploymentController {
    const NAME: &'static str = "deployment";

    fn watches(&self) -> Vec<Watch> {
        let (deployments, sets) = (self.deployments.clone(), self.sets.clone());
        vec![
            Watch::own(&self.deployments),
            Watch::controlled_by(&self.sets, "Deployment"),
            Watch::mapped(&self.sets, move |change| {
                change.new.iter().flat_map(|set| orphan_keys(&deployments, set, deployment_selector)).collect()
            }),
            // Recreate waits for the last old pod to go.
            Watch::mapped(&self.pods, move |change| {
                if change.new.as_ref().is_some_and(|pod| !pod.header.deleting) {
                    return Vec::new();
                }
                let owners = change.entries().filter_map(|pod| {
                    let owner = pod.header.controller().filter(|owner| &*owner.kind == "ReplicaSet")?;
                    let set = sets.get(&Key::new(pod.header.key.namespace.clone(), owner.name.clone()))?;
                    let owner = set.header.controller().filter(|owner| &*owner.kind == "Deployment")?;
                    Some(Key::new(pod.header.key.namespace.clone(), owner.name.clone()))
                });
                let mut keys: Vec<Key> = owners.collect();
                keys.dedup();
                keys
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let Some(deployment) = self.deployments.fetch(key)? else { return Ok(Next::Settled) };
        let Some(selector) = deployment_selector(&deployment) else {
            return Err(Error::Invalid { key: key.clone(), reason: "its selector cannot be read".to_owned() });
        };
        if selector.is_everything() {
            return self.refuse_everything(key, deployment).await;
        }
        let sets = self.claim(key, &deployment, &selector).await?;
        let old_pods_run = self.old_pods_run(&deployment, &sets)?;
        let plan = plan(Observed { deployment: deployment.clone(), sets, old_pods_run }, Timestamp::now());
        self.act(key, deployment, plan).await
    }
}

impl DeploymentController {
    async fn claim(
        &self,
        key: &Key,
        deployment: &Deployment,
        selector: &apimachinery::LabelSelector,
    ) -> Result<Vec<ReplicaSet>, Error> {
        let claimer = Claimer {
            owners: &self.context.client.namespaced::<Deployment>(&key.namespace),
            metadata: &deployment.metadata,
            reference: owner_reference::<Deployment>(&deployment.metadata),
            selector,
        };
        let claimed = claimer.claim(&self.sets, &self.context.client.namespaced::<ReplicaSet>(&key.namespace)).await?;
        for version in &claimed.patched {
            self.ledger.wrote(key, &self.sets, version.as_deref());
        }
        if !claimed.patched.is_empty() {
            // What was adopted has another revision now; plan from what the cache will show.
            return if self.ledger.settled(key).await {
                Ok(self.sets.owned_by(&self_uid(deployment)).iter().map(|e| e.decode()).collect::<Result<_, _>>()?)
            } else {
                Err(Error::Lagging)
            };
        }
        Ok(claimed.entries.iter().map(|entry| entry.decode()).collect::<Result<_, _>>()?)
    }

    fn old_pods_run(&self, deployment: &Deployment, sets: &[ReplicaSet]) -> Result<bool, Error> {
        if sizes::is_rolling_update(deployment) {
            return Ok(false);
        }
        let newest = plan::newest(deployment, sets);
        for (index, set) in sets.iter().enumerate() {
            if Some(index) == newest {
                continue;
            }
            for pod in self.pods.owned_by(set.metadata.uid.as_deref().unwrap_or_default()) {
                if !is_pod_finished(&pod.decode()?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn refuse_everything(&self, key: &Key, deployment: Deployment) -> Result<Next, Error> {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        let status = deployment.status.clone().unwrap_or_default();
        if status.observed_generation.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
            self.context.recorder.warning(&object_reference(&deployment), "SelectingAll", message);
            let status = DeploymentStatus { observed_generation: deployment.metadata.generation, ..status };
            self.write(key, deployment, Some(status), None).await?;
        }
        Ok(Next::Settled)
    }

    async fn act(&self, key: &Key, deployment: Deployment, mut plan: Plan) -> Result<Next, Error> {
        let sets = self.context.client.namespaced::<ReplicaSet>(&key.namespace);
        let about = object_reference(&deployment);
        for step in std::mem::take(&mut plan.steps) {
            match step {
                Step::Create(set) => {
                    if let Err(refused) = self.create(key, &sets, &deployment, &set).await {
                        return self.refused(key, deployment, &set, refused).await;
                    }
                }
                Step::Update { set, scaled } => {
                    let name = set.metadata.name.clone().unwrap_or_default();
                    let written = sets.replace(&name, &PostParams::default(), &set).await?;
                    self.ledger.wrote(key, &self.sets, written.metadata.resource_version.as_deref());
                    if let Some((from, to)) = scaled {
                        let way = if from < to { "up" } else { "down" };
                        let message = format!("Scaled {way} replica set {name} from {from} to {to}");
                        self.context.recorder.normal(&about, "ScalingReplicaSet", message);
                    }
                }
                Step::Delete { name, uid } => {
                    let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
                    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                    match sets.delete(&name, &params).await {
                        Ok(_) => self.ledger.deleted(key, &self.sets, Key::new(key.namespace.clone(), name), &uid),
                        Err(error) if error.is_not_found() || error.is_conflict() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        self.write(key, deployment, plan.status, plan.revision).await?;
        Ok(plan.next.unwrap_or(Next::Settled))
    }

    async fn create(
        &self,
        key: &Key,
        sets: &Api<ReplicaSet>,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> Result<(), client::Error> {
        let made = sets.create(&PostParams::default(), set).await?;
        self.ledger.wrote(key, &self.sets, made.metadata.resource_version.as_deref());
        let size = sizes::replicas(set);
        if size > 0 {
            let name = made.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Scaled up replica set {name} from 0 to {size}");
            self.context.recorder.normal(&object_reference(deployment), "ScalingReplicaSet", message);
        }
        Ok(())
    }

    /// The newest set could not be made: its name is taken by a set of another template, or the server refuses it.
    async fn refused(
        &self,
        key: &Key,
        deployment: Deployment,
        set: &ReplicaSet,
        error: client::Error,
    ) -> Result<Next, Error> {
        let mut status = deployment.status.clone().unwrap_or_default();
        if error.is_namespace_terminating() {
            return Ok(Next::Settled);
        }
        if error.is_already_exists() {
            // Ours, and not seen yet? Then the next look will see it.
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let taken = self.context.client.namespaced::<ReplicaSet>(&key.namespace).get_opt(name).await?;
            let ours = taken.is_some_and(|taken| {
                api::is_controlled_by(&taken.metadata, &self_uid(&deployment))
                    && plan::newest(&deployment, std::slice::from_ref(&taken)).is_some()
            });
            if !ours {
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                self.write(key, deployment, Some(status), None).await?;
            }
            return Err(error.into());
        }
        let name = set.metadata.name.clone().unwrap_or_default();
        let message = format!("Failed to create new replica set {name:?}: {}", error.message());
        self.context.recorder.warning(&object_reference(&deployment), "ReplicaSetCreateError", message.clone());
        if conditions::progress_deadline(&deployment).is_some() {
            let condition =
                conditions::make(conditions::PROGRESSING, "False", "ReplicaSetCreateError", message, Timestamp::now());
            conditions::set(&mut status, condition);
            if deployment.status.as_ref() != Some(&status) {
                self.write(key, deployment, Some(status), None).await?;
            }
        }
        Err(error.into())
    }

    /// Writes status and revision. Upstream's server takes annotations along with a deployment's status; one that
    /// does not gets them in a write of their own.
    async fn write(
        &self,
        key: &Key,
        mut deployment: Deployment,
        status: Option<DeploymentStatus>,
        newest: Option<i64>,
    ) -> Result<(), Error> {
        if status.is_none() && newest.is_none() {
            return Ok(());
        }
        let deployments = self.context.client.namespaced::<Deployment>(&key.namespace);
        let noted = newest.map(|newest| newest.to_string());
        if let Some(noted) = &noted {
            deployment
                .metadata
                .annotations
                .get_or_insert_default()
                .insert(revision::REVISION.to_owned(), noted.clone());
        }
        deployment.status = status.or(deployment.status);
        let mut written = deployments.replace_status(&key.name, &PostParams::default(), &deployment).await?;
        let kept = written.metadata.annotations.as_ref().and_then(|a| a.get(revision::REVISION));
        if let Some(noted) = noted.filter(|noted| kept != Some(noted)) {
            written.metadata.annotations.get_or_insert_default().insert(revision::REVISION.to_owned(), noted);
            written = deployments.replace(&key.name, &PostParams::default(), &written).await?;
        }
        self.ledger.wrote(key, &self.deployments, written.metadata.resource_version.as_deref());
        Ok(())
    }
}

fn self_uid(deployment: &Deployment) -> String {
    deployment.metadata.uid.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
