//! The replica set controller: as many pods as a set says.

mod plan;
mod ranking;
mod status;

use std::sync::Arc;

use api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
    is_pod_active,
    jiff::Timestamp,
    object_reference, owner_reference,
};
use client::{ApiError, PostParams};
use controller_runtime::{Controller, Error, Key, Ledger, Lister, Next, Watch};
use futures::{StreamExt, stream};

use self::{
    plan::{Plan, Scale, plan},
    status::Failure,
};
use crate::{
    claim::{Claimer, orphan_keys, selector},
    context::Context,
    pod_control::{PodControl, pod_from_template},
};

/// Pods made or deleted in one reconcile, at most.
const BURST_REPLICAS: usize = 500;
/// The first batch of creations; each batch that succeeds doubles the next, so that what must fail fails cheaply.
const FIRST_BATCH: usize = 1;
/// Requests under way at once.
const CONCURRENT_REQUESTS: usize = 32;

pub(crate) struct ReplicaSetController {
    context: Context,
    sets: Lister<ReplicaSet>,
    pods: Lister<Pod>,
    ledger: Ledger,
}

impl ReplicaSetController {
    pub(crate) fn new(context: Context) -> Self {
        let (sets, pods) = (context.informers.watch(), context.informers.watch());
        Self { context, sets, pods, ledger: Ledger::default() }
    }
}

impl Controller for ReplicaSetController {
    const NAME: &'static str = "replicaset";

    fn watches(&self) -> Vec<Watch> {
        let sets = self.sets.clone();
        vec![
            Watch::own(&self.sets),
            Watch::controlled_by(&self.pods, "ReplicaSet"),
            Watch::mapped(&self.pods, move |change| {
                change.new.iter().flat_map(|pod| orphan_keys(&sets, pod, set_selector)).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let Some(set) = self.sets.fetch(key)? else { return Ok(Next::Settled) };
        let Some(selector) = set_selector(&set) else {
            return Err(Error::Invalid { key: key.clone(), reason: "its selector cannot be read".to_owned() });
        };
        let pods = self.claim(key, &set, &selector).await?;
        let related = self.related(&set)?;
        let now = Timestamp::now();
        let plan = plan(&set, &pods, &related, now);
        let failure = self.scale(key, &set, &plan).await?;
        self.write_status(key, &set, &plan, failure.as_ref(), now).await?;
        match failure {
            Some(Failed { error, .. }) => Err(error.into()),
            None => Ok(plan.next),
        }
    }
}

/// A scaling that did not succeed, as the status tells it and as the loop retries it.
struct Failed {
    told: Failure,
    error: client::Error,
}

fn set_selector(set: &ReplicaSet) -> Option<apimachinery::LabelSelector> {
    selector(&set.spec.selector)
}

impl ReplicaSetController {
    async fn claim(
        &self,
        key: &Key,
        set: &ReplicaSet,
        selector: &apimachinery::LabelSelector,
    ) -> Result<Vec<Pod>, Error> {
        let claimer = Claimer {
            owners: &self.context.client.namespaced::<ReplicaSet>(&key.namespace),
            metadata: &set.metadata,
            reference: owner_reference::<ReplicaSet>(&set.metadata),
            selector,
        };
        let claimed = claimer.claim(&self.pods, &self.context.client.namespaced::<Pod>(&key.namespace)).await?;
        for version in &claimed.patched {
            self.ledger.wrote(key, &self.pods, version.as_deref());
        }
        Ok(claimed.entries.iter().map(|entry| entry.decode()).collect::<Result<_, _>>()?)
    }

    /// Active pods of all sets that have the same controller, this one among them: those on one node stand in for
    /// each other.
    fn related(&self, set: &ReplicaSet) -> Result<Vec<Pod>, Error> {
        let Some(owner) = api::controller_of(&set.metadata) else { return Ok(Vec::new()) };
        let mut related = Vec::new();
        if owner.kind == <Deployment as api::Resource>::KIND {
            for sibling in self.sets.owned_by(&owner.uid) {
                for pod in self.pods.owned_by(&sibling.header.uid) {
                    related.push(pod.decode::<Pod>()?);
                }
            }
        }
        related.retain(is_pod_active);
        Ok(related)
    }

    async fn scale(&self, key: &Key, set: &ReplicaSet, plan: &Plan<'_>) -> Result<Option<Failed>, Error> {
        let control = PodControl {
            pods: self.context.client.namespaced(&key.namespace),
            recorder: &self.context.recorder,
            owner: object_reference(set),
        };
        let (reason, outcome) = match &plan.scale {
            Scale::Enough => return Ok(None),
            Scale::Create(count) => ("FailedCreate", self.create(key, set, &control, *count).await),
            Scale::Delete(pods) => ("FailedDelete", self.delete(key, &control, pods).await),
        };
        Ok(outcome.err().map(|error| Failed { told: Failure { reason, message: error.message() }, error }))
    }

    async fn create(
        &self,
        key: &Key,
        set: &ReplicaSet,
        control: &PodControl<'_>,
        count: usize,
    ) -> Result<(), client::Error> {
        let Some(template) = &set.spec.template else { return Ok(()) };
        let pod = pod_from_template(template, owner_reference::<ReplicaSet>(&set.metadata), &key.name);
        let (mut left, mut batch) = (count, FIRST_BATCH);
        while left > 0 {
            let size = batch.min(left);
            let mut outcomes =
                stream::iter((0..size).map(|_| control.create(&pod))).buffer_unordered(CONCURRENT_REQUESTS);
            let mut failure = None;
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Ok(pod) => self.ledger.wrote(key, &self.pods, pod.metadata.resource_version.as_deref()),
                    Err(error) => failure = Some(error),
                }
            }
            match failure {
                // The namespace takes no more; it will soon be gone, and the set with it.
                Some(error) if error.is_namespace_terminating() => return Ok(()),
                Some(error) => return Err(error),
                None => {}
            }
            left -= size;
            batch = size * 2;
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, control: &PodControl<'_>, pods: &[&Pod]) -> Result<(), client::Error> {
        // Collected first: a closure over borrowed pods inside the stream is not general enough for the compiler.
        let deletions: Vec<_> = pods.iter().map(|pod| self.delete_one(key, control, pod)).collect();
        let outcomes: Vec<_> = stream::iter(deletions).buffer_unordered(CONCURRENT_REQUESTS).collect().await;
        outcomes.into_iter().collect()
    }

    async fn delete_one(&self, key: &Key, control: &PodControl<'_>, pod: &Pod) -> Result<(), client::Error> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        control.delete(name, uid).await?;
        self.ledger.deleted(key, &self.pods, Key::new(key.namespace.clone(), name), uid);
        Ok(())
    }

    async fn write_status(
        &self,
        key: &Key,
        set: &ReplicaSet,
        plan: &Plan<'_>,
        failed: Option<&Failed>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let status = status::status(set, &plan.active, plan.terminating, failed.map(|f| &f.told), now);
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let changed = ReplicaSet { status: Some(status), ..set.clone() };
        let sets = self.context.client.namespaced::<ReplicaSet>(&key.namespace);
        match sets.replace_status(&key.name, &PostParams::default(), &changed).await {
            Ok(set) => self.ledger.wrote(key, &Arc::clone(&self.sets), set.metadata.resource_version.as_deref()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
