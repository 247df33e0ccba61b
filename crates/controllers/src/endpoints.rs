//! The endpoints controller: the pods behind each service in one object, as clients from before slices read them.

mod plan;

use std::sync::Arc;

use api::core::v1::{Endpoints, Pod, Service};
use api::object_reference;
use client::{ApiError, DeleteParams, PostParams};
use controller_runtime::{Controller, Entry, Error, Key, Ledger, Lister, Next, Watch};

use self::plan::{MANAGED_BY, MANAGED_BY_LABEL, Plan, plan};
use crate::{
    context::Context,
    services::{Selectors, managed_selector},
};

pub(crate) struct EndpointsController {
    context: Context,
    services: Lister<Service>,
    pods: Lister<Pod>,
    endpoints: Lister<Endpoints>,
    selectors: Arc<Selectors>,
    ledger: Ledger,
}

impl EndpointsController {
    pub(crate) fn new(context: Context) -> Self {
        let services: Lister<Service> = context.informers.watch();
        Self {
            pods: context.informers.watch(),
            endpoints: context.informers.watch(),
            selectors: Arc::new(Selectors::new(services.clone())),
            services,
            context,
            ledger: Ledger::default(),
        }
    }
}

impl Controller for EndpointsController {
    const NAME: &'static str = "endpoint";

    fn watches(&self) -> Vec<Watch> {
        let selectors = self.selectors.clone();
        vec![
            Watch::own(&self.services),
            Watch::mapped(&self.pods, move |change| selectors.services_of(change)),
            // They bear their service's name.
            Watch::own(&self.endpoints),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let Some(service) = self.services.fetch(key)? else { return self.service_gone(key).await };
        let Some(selector) = managed_selector(&service) else { return Ok(Next::Settled) };
        let pods = self.pods.fetch_selected(&key.namespace, &selector)?;
        let all = self.context.client.namespaced::<Endpoints>(&key.namespace);
        let (reason, written) = match plan(&service, &pods, self.endpoints.fetch(key)?) {
            Plan::Settled => return Ok(Next::Settled),
            Plan::Create(endpoints) => ("FailedToCreateEndpoint", all.create(&PostParams::default(), &endpoints).await),
            Plan::Replace(endpoints) => {
                ("FailedToUpdateEndpoint", all.replace(&key.name, &PostParams::default(), &endpoints).await)
            }
        };
        match written {
            Ok(endpoints) => {
                self.ledger.wrote(key, &self.endpoints, endpoints.metadata.resource_version.as_deref());
                Ok(Next::Settled)
            }
            Err(error) if error.is_namespace_terminating() => Ok(Next::Settled),
            Err(error) => {
                if !error.is_conflict() && !error.is_already_exists() {
                    let verb = if reason == "FailedToCreateEndpoint" { "create" } else { "update" };
                    let message =
                        format!("Failed to {verb} endpoint {}/{}: {}", key.namespace, key.name, error.message());
                    self.context.recorder.warning(&object_reference(&service), reason, message);
                }
                Err(error.into())
            }
        }
    }
}

impl EndpointsController {
    /// The service is gone, and so are the endpoints made for it. Unlike Kubernetes, which at its start deletes any
    /// endpoints without a service: others' objects are theirs.
    async fn service_gone(&self, key: &Key) -> Result<Next, Error> {
        let made_here = |entry: &Arc<Entry>| entry.header.label(MANAGED_BY_LABEL) == Some(MANAGED_BY);
        let Some(entry) = self.endpoints.get(key).filter(made_here) else { return Ok(Next::Settled) };
        let all = self.context.client.namespaced::<Endpoints>(&key.namespace);
        match all.delete(&key.name, &DeleteParams::default()).await {
            Ok(_) => {
                self.ledger.deleted(key, &self.endpoints, key.clone(), &entry.header.uid);
                Ok(Next::Settled)
            }
            Err(error) if error.is_not_found() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}
