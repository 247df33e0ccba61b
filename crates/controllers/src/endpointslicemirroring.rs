//! The endpoint slice mirroring controller: endpoints that somebody else keeps for a service without a selector are
//! shown as slices too.

mod plan;

use api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
    object_reference,
};
use apimachinery::LabelSelector;
use client::ApiError;
use controller_runtime::{Controller, Error, Key, Ledger, Lister, Next, Watch};

use self::plan::{MANAGED_BY, MANAGED_BY_LABEL, Plan, SERVICE_LABEL, plan, should_mirror};
use crate::{context::Context, slices};

pub(crate) struct EndpointSliceMirroringController {
    context: Context,
    endpoints: Lister<Endpoints>,
    services: Lister<Service>,
    slices: Lister<EndpointSlice>,
    ledger: Ledger,
}

impl EndpointSliceMirroringController {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            endpoints: context.informers.watch(),
            services: context.informers.watch(),
            slices: context.informers.watch(),
            context,
            ledger: Ledger::default(),
        }
    }
}

impl Controller for EndpointSliceMirroringController {
    const NAME: &'static str = "endpoint_slice_mirroring";

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::own(&self.endpoints),
            // Endpoints bear their service's name.
            Watch::own(&self.services),
            Watch::mapped(&self.slices, |change| {
                let ours = change.entries().filter(|e| e.header.label(MANAGED_BY_LABEL) == Some(MANAGED_BY));
                let mut keys: Vec<Key> = ours
                    .filter_map(|e| Some(Key::new(change.key.namespace.clone(), e.header.label(SERVICE_LABEL)?)))
                    .collect();
                keys.dedup();
                keys
            }),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.ledger.settled(key).await {
            return Err(Error::Lagging);
        }
        let existing = self.existing(key)?;
        let service = self.services.fetch(key)?;
        let endpoints = self.endpoints.fetch(key)?.filter(|endpoints| should_mirror(endpoints, service.as_ref()));
        let Some(endpoints) = endpoints else {
            let gone = Plan { delete: existing, ..Plan::default() };
            return self.write(key, gone).await;
        };
        let plan = plan(&endpoints, existing);
        let about = object_reference(&endpoints);
        if plan.invalid > 0 {
            let message = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", plan.invalid);
            self.context.recorder.warning(&about, "InvalidIPAddress", message);
        }
        if plan.skipped > 0 {
            let message = format!(
                "A max of {} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
                plan::MAX_ADDRESSES_PER_SUBSET,
                plan.skipped
            );
            self.context.recorder.warning(&about, "TooManyAddressesToMirror", message);
        }
        self.write(key, plan).await
    }
}

impl EndpointSliceMirroringController {
    fn existing(&self, key: &Key) -> Result<Vec<EndpointSlice>, Error> {
        let mine = LabelSelector::from_map([(SERVICE_LABEL, &*key.name), (MANAGED_BY_LABEL, MANAGED_BY)]);
        let slices = self.slices.select(&key.namespace, &mine);
        let live = slices.iter().filter(|slice| !slice.header.deleting);
        Ok(live.map(|slice| slice.decode()).collect::<Result<_, _>>()?)
    }

    async fn write(&self, key: &Key, plan: Plan) -> Result<Next, Error> {
        let changes = slices::Changes { create: plan.create, update: plan.update, delete: plan.delete };
        match slices::write(&self.context.client, &self.slices, &self.ledger, key, changes).await {
            Ok(()) => Ok(Next::Settled),
            Err(error) if error.is_namespace_terminating() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}
