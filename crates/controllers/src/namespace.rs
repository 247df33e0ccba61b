//! The namespace controller: empties a namespace that is being deleted, whatever kinds of objects are in it, and then
//! lets it go.

mod conditions;

use std::{collections::BTreeMap, time::Duration};

use api::{
    conditions::is_pod_finished,
    core::v1::{Namespace, Pod},
    jiff::Timestamp,
};
use client::{Api, ApiError, DeleteParams, DynamicObject, ListParams, PostParams, ResourceExt};
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};

use self::conditions::Findings;
use crate::{
    context::Context,
    discovery::{Served, discover},
};

/// The finalizer this controller answers for.
const FINALIZER: &str = "kubernetes";
/// How long objects with finalizers are expected to take.
const FINALIZER_ESTIMATE: Duration = Duration::from_secs(15);
/// Objects listed at once to be deleted one by one.
const PAGE: u32 = 500;

pub(crate) fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Active");
    namespace.metadata.deletion_timestamp.is_none() && phase == "Active"
}

pub(crate) struct NamespaceController {
    context: Context,
    namespaces: Lister<Namespace>,
    pods: Lister<Pod>,
}

impl NamespaceController {
    pub(crate) fn new(context: Context) -> Self {
        let (namespaces, pods) = (context.informers.watch(), context.informers.watch());
        Self { context, namespaces, pods }
    }
}

impl Controller for NamespaceController {
    const NAME: &'static str = "namespace";

    fn watches(&self) -> Vec<Watch> {
        let namespaces = self.namespaces.clone();
        vec![
            Watch::own(&self.namespaces),
            // The last pod to go is what most namespaces wait for.
            Watch::mapped(&self.pods, move |change| {
                let key = Key::cluster(change.key.namespace.clone());
                let waits = change.new.is_none() && namespaces.get(&key).is_some_and(|n| n.header.deleting);
                if waits { vec![key] } else { Vec::new() }
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.namespaces.get(key).is_some_and(|entry| entry.header.deleting) {
            return Ok(Next::Settled);
        }
        // Asked anew: what is decided here cannot be undone.
        let namespaces = self.context.client.all::<Namespace>();
        let Some(namespace) = namespaces.get_opt(&key.name).await? else { return Ok(Next::Settled) };
        if namespace.metadata.deletion_timestamp.is_none() || finalizers(&namespace).is_empty() {
            return Ok(Next::Settled);
        }
        let emptied = self.empty(&key.name).await?;
        let status = conditions::status(namespace.status.as_ref(), &emptied.findings, Timestamp::now());
        let mut namespace = namespace;
        if namespace.status.as_ref() != Some(&status) {
            namespace.status = Some(status);
            namespace = namespaces.replace_status(&key.name, &PostParams::default(), &namespace).await?;
        }
        if !emptied.findings.is_empty() {
            // Half of the estimate, as upstream waits, and never in a tight loop.
            return Ok(Next::After(emptied.estimate / 2 + Duration::from_secs(1)));
        }
        self.finalize(&namespaces, namespace).await
    }
}

/// What is left of a namespace, and how long it may take to go.
#[derive(Default)]
struct Emptied {
    findings: Findings,
    estimate: Duration,
}

fn finalizers(namespace: &Namespace) -> Vec<String> {
    namespace.spec.as_ref().and_then(|s| s.finalizers.clone()).unwrap_or_default()
}

impl NamespaceController {
    async fn finalize(&self, namespaces: &Api<Namespace>, mut namespace: Namespace) -> Result<Next, Error> {
        let mut left = finalizers(&namespace);
        left.retain(|finalizer| finalizer != FINALIZER);
        namespace.spec.get_or_insert_default().finalizers = Some(left);
        let name = namespace.name_any();
        match namespaces.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_not_found() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }

    async fn empty(&self, namespace: &str) -> Result<Emptied, Error> {
        let found = discover(&self.context.client).await?;
        let mut emptied = Emptied::default();
        emptied.findings.discovery_failures = found.failures;
        let deletable = |served: &&Served| served.namespaced && served.can("delete") && served.can("list");
        let (pods, others): (Vec<&Served>, Vec<&Served>) = found
            .resources
            .iter()
            .filter(deletable)
            .partition(|served| served.resource.group.is_empty() && served.resource.plural == "pods");
        // Pods go first, so that nothing they run loses its secrets, policies or services under its feet.
        for served in pods {
            self.empty_of(namespace, served, &mut emptied).await;
        }
        let pods_remain = !emptied.findings.remaining.is_empty() || !emptied.findings.deletion_failures.is_empty();
        if !pods_remain {
            for served in others {
                self.empty_of(namespace, served, &mut emptied).await;
            }
        }
        Ok(emptied)
    }

    async fn empty_of(&self, namespace: &str, served: &Served, emptied: &mut Emptied) {
        match self.delete_all(namespace, served).await {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                let resource = format!("{}.{}", served.resource.plural, served.resource.group);
                emptied.findings.remaining.insert(resource, left.len());
                emptied.estimate = emptied.estimate.max(grace(served, &left));
                let mut by_finalizer: BTreeMap<String, usize> = BTreeMap::new();
                for finalizer in left.iter().flat_map(|object| object.finalizers().iter()) {
                    *by_finalizer.entry(finalizer.clone()).or_default() += 1;
                }
                if !by_finalizer.is_empty() {
                    emptied.estimate = emptied.estimate.max(FINALIZER_ESTIMATE);
                }
                for (finalizer, count) in by_finalizer {
                    *emptied.findings.finalizers.entry(finalizer).or_default() += count;
                }
            }
            // A resource that has just gone has no instances.
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let failure =
                    format!("{} of {}: {}", served.resource.plural, served.resource.api_version, error.message());
                emptied.findings.deletion_failures.push(failure);
            }
        }
    }

    /// Deletes all objects of a kind, and returns those still there.
    async fn delete_all(&self, namespace: &str, served: &Served) -> Result<Vec<DynamicObject>, client::Error> {
        let objects: Api<DynamicObject> = Api::namespaced_with(self.context.client.kube(), namespace, &served.resource);
        let list = ListParams::default().limit(PAGE);
        let present = objects.list(&list).await?.items;
        // What is being deleted already needs no second word.
        if present.iter().all(|object| object.metadata.deletion_timestamp.is_some()) {
            return Ok(present);
        }
        let background = DeleteParams::background();
        if served.can("deletecollection") {
            objects.delete_collection(&background, &ListParams::default()).await?;
        } else {
            for object in present.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
                match objects.delete(&object.name_any(), &background).await {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(objects.list(&list).await?.items)
    }
}

/// How long the longest-lived of the pods has left.
fn grace(served: &Served, left: &[DynamicObject]) -> Duration {
    if served.resource.kind != "Pod" || !served.resource.group.is_empty() {
        return Duration::ZERO;
    }
    left.iter()
        .filter_map(|object| serde_json::from_value::<Pod>(serde_json::to_value(object).ok()?).ok())
        .filter(|pod| !is_pod_finished(pod))
        .filter_map(|pod| pod.metadata.deletion_grace_period_seconds.or(pod.spec?.termination_grace_period_seconds))
        .map(|seconds| Duration::from_secs(seconds.max(0) as u64))
        .max()
        .unwrap_or(Duration::ZERO)
}
