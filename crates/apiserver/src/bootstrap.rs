//! What a fresh cluster holds: the system's namespaces, priority classes, the default policy, the Service
//! `kubernetes`. Everything is repaired at every start and written through the pipeline.

pub(crate) mod rbac;

mod objects;

use apimachinery::{Object, Reason, Status};
use registry::{Body, DeleteOptions, RequestContext, Resource};
use std::{net::IpAddr, sync::Arc};

use crate::{live::Live, server::ApiServer};

/// Somebody else may write the same object meanwhile; then look again, this often.
const MAX_ATTEMPTS: usize = 5;

/// A resource by group, version and plural.
pub(crate) type Gvr = (&'static str, &'static str, &'static str);

impl ApiServer {
    /// Brings the defaults into being. Safe to run at every start and on several servers at once.
    pub(crate) async fn bootstrap(&self) -> Result<(), Status> {
        let live = &self.inner.live;
        for (gvr, object) in objects::namespaces().into_iter().chain(objects::priority_classes()) {
            ensure(live, gvr, &object, |_, _| None).await?;
        }
        for default in rbac::defaults() {
            policy(live, (auth::rbac::GROUP, "v1", default.resource), &default.object).await?;
        }
        let authentication = objects::authentication_config(&self.inner.config.client_ca_pem);
        ensure(live, ("", "v1", "configmaps"), &authentication, objects::repair_data).await?;
        let (gvr, service) = objects::kubernetes_service();
        ensure(live, gvr, &service, |_, _| None).await?;
        match &self.inner.config.hostname {
            // Others' addresses stand there too.
            Some(_) => Ok(()),
            None => self.point_to(&[self.inner.config.advertise_address]).await,
        }
    }

    /// Makes the Service `kubernetes` lead to these addresses.
    pub(crate) async fn point_to(&self, addresses: &[IpAddr]) -> Result<(), Status> {
        for (gvr, object) in objects::kubernetes_endpoints(addresses, self.inner.config.advertise_port) {
            ensure(&self.inner.live, gvr, &object, objects::repair_endpoints).await?;
        }
        Ok(())
    }
}

fn context(live: &Live, object: &Object, named: bool) -> RequestContext {
    live.context(object.namespace(), if named { object.name() } else { "" })
}

async fn create(live: &Live, resource: &Arc<dyn Resource>, object: &Object) -> Result<(), Status> {
    let cx = context(live, object, false);
    live.registry.create(resource, &cx, Body::Tree(object.clone())).await.map(drop)
}

/// Creates an object, or repairs it where `repair` says so.
async fn ensure(
    live: &Live,
    gvr: Gvr,
    wanted: &Object,
    repair: impl Fn(&Object, &Object) -> Option<Object>,
) -> Result<(), Status> {
    let resource = live.resource(gvr.0, gvr.1, gvr.2)?;
    let mut last = Ok(());
    for _ in 0..MAX_ATTEMPTS {
        last = match live.get(gvr, wanted.namespace(), wanted.name()).await? {
            None => create(live, &resource, wanted).await,
            Some(existing) => match repair(&existing, wanted) {
                None => return Ok(()),
                Some(repaired) => {
                    let cx = context(live, wanted, true);
                    live.registry.update(&resource, &cx, Body::Tree(repaired)).await.map(drop)
                }
            },
        };
        match &last {
            Err(status) if status.is(Reason::AlreadyExists) || status.is(Reason::Conflict) => {}
            _ => return last,
        }
    }
    last
}

/// The same for a default role or binding, whose role may have to be replaced.
async fn policy(live: &Live, gvr: Gvr, wanted: &Object) -> Result<(), Status> {
    if let Some(existing) = live.get(gvr, wanted.namespace(), wanted.name()).await?
        && rbac::repair(&existing, wanted) == rbac::Repair::Recreate
    {
        let resource = live.resource(gvr.0, gvr.1, gvr.2)?;
        live.registry.delete(&resource, &context(live, wanted, true), &DeleteOptions::default()).await?;
    }
    ensure(live, gvr, wanted, |existing, wanted| match rbac::repair(existing, wanted) {
        rbac::Repair::Update(repaired) => Some(repaired),
        rbac::Repair::Nothing | rbac::Repair::Recreate => None,
    })
    .await
}
