//! The endpoint slice controller: the pods behind each service, in slices of bounded size.

pub(crate) mod plan;

use std::sync::Arc;

use api::{
    core::v1::{Node, Pod, Service},
    discovery::v1::EndpointSlice,
    object_reference,
};
use apimachinery::LabelSelector;
use client::ApiError;
use controller_runtime::{Controller, Error, Key, Ledger, Lister, Next, Watch};

use self::plan::{MANAGED_BY, MANAGED_BY_LABEL, MAX_ENDPOINTS_PER_SLICE, Plan, SERVICE_LABEL, plan};
use crate::{
    context::Context,
    services::{Selectors, managed_selector},
    slices,
};

pub(crate) struct EndpointSliceController {
    context: Context,
    services: Lister<Service>,
    pods: Lister<Pod>,
    nodes: Lister<Node>,
    slices: Lister<EndpointSlice>,
    selectors: Arc<Selectors>,
    ledger: Ledger,
}

impl EndpointSliceController {
    pub(crate) fn new(context: Context) -> Self {
        let services: Lister<Service> = context.informers.watch();
        Self {
            pods: context.informers.watch(),
            nodes: context.informers.watch(),
            slices: context.informers.watch(),
            selectors: Arc::new(Selectors::new(services.clone())),
            services,
            context,
            ledger: Ledger::default(),
        }
    }
}

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

impl Controller for EndpointSliceController {
    const NAME: &'static str = "endpoint_slice";

    fn watches(&self) -> Vec<Watch> {
        let (selectors, services) = (self.selectors.clone(), self.services.clone());
        vec![
            Watch::own(&self.services),
            Watch::mapped(&self.pods, move |change| selectors.services_of(change)),
            Watch::mapped(&self.slices, |change| {
                let ours = change.entries().filter(|e| e.header.label(MANAGED_BY_LABEL) == Some(MANAGED_BY));
                let mut keys: Vec<Key> = ours
                    .filter_map(|e| Some(Key::new(change.key.namespace.clone(), e.header.label(SERVICE_LABEL)?)))
                    .collect();
                keys.dedup();
                keys
            }),
            // Pods of a node that was not known, or whose zone has changed, are of any service.
            Watch::mapped(&self.nodes, move |change| {
                let zone = |entry: Option<&Arc<controller_runtime::Entry>>| {
                    entry.map(|entry| entry.header.label(ZONE_LABEL).map(str::to_owned))
                };
                if zone(change.old.as_ref()) == zone(change.new.as_ref()) {
                    return Vec::new();
                }
                services.entries().iter().map(|service| service.header.key.clone()).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let Some(service) = self.services.fetch(key)? else { return Ok(Next::Settled) };
        let Some(selector) = managed_selector(&service) else { return Ok(Next::Settled) };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Settled);
        }
        let pods = self.pods.fetch_selected(&key.namespace, &selector)?;
        let node = |name: &str| self.nodes.fetch(&Key::cluster(name)).ok().flatten();
        let plan = plan(&service, &pods, node, self.existing(key)?, MAX_ENDPOINTS_PER_SLICE);
        self.act(key, &service, plan).await
    }
}

impl EndpointSliceController {
    fn existing(&self, key: &Key) -> Result<Vec<EndpointSlice>, Error> {
        let mine = LabelSelector::from_map([(SERVICE_LABEL, &*key.name), (MANAGED_BY_LABEL, MANAGED_BY)]);
        let slices = self.slices.select(&key.namespace, &mine);
        let live = slices.iter().filter(|slice| !slice.header.deleting);
        Ok(live.map(|slice| slice.decode()).collect::<Result<_, _>>()?)
    }

    async fn act(&self, key: &Key, service: &Service, plan: Plan) -> Result<Next, Error> {
        match self.write(key, plan).await {
            Ok(()) => Ok(Next::Settled),
            Err(error) if error.is_namespace_terminating() => Ok(Next::Settled),
            Err(error) => {
                let about = object_reference(service);
                let message = format!(
                    "Error updating Endpoint Slices for Service {}/{}: {}",
                    key.namespace,
                    key.name,
                    error.message()
                );
                self.context.recorder.warning(&about, "FailedToUpdateEndpointSlices", message);
                Err(error.into())
            }
        }
    }

    async fn write(&self, key: &Key, plan: Plan) -> Result<(), client::Error> {
        if plan.nodes_missing {
            // The node's arrival brings the service back here.
            tracing::debug!(service = %key, "pods on nodes not known yet are left out");
        }
        let changes = slices::Changes { create: plan.create, update: plan.update, delete: plan.delete };
        slices::write(&self.context.client, &self.slices, &self.ledger, key, changes).await
    }
}

#[cfg(test)]
mod tests;
