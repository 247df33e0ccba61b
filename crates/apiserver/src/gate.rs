//! Between the registry, which asks for admission, and what answers: the plug-ins and the checks of roles, bindings
//! and signers. The registry is made first, so the gate is closed until the server stands.

use std::sync::{Arc, OnceLock, Weak};

use admission::{Chain, Gvr, Objects, Request};
use apimachinery::{Object, Status};
use async_trait::async_trait;
use auth::{Escalation, Write};
use registry::{Attributes, ListOptions, Operation, View};
use serde_json::Value;

use crate::{
    server::{ApiServer, Inner},
    signers,
};

struct Opened {
    chain: Chain,
    /// Weak, because the server holds the registry and the registry holds the gate.
    server: Weak<Inner>,
}

/// Admission as the registry wants it. Make one, give it to the registry, then to [`ApiServer::start`].
#[derive(Clone, Default)]
pub struct Gate(Arc<OnceLock<Opened>>);

impl Gate {
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self, server: &ApiServer) {
        let server = Arc::downgrade(&server.inner);
        let chain = Chain::builtin(Arc::new(Lookup(Weak::clone(&server))));
        if self.0.set(Opened { chain, server }).is_err() {
            tracing::warn!("a second server was started over the same registry; the first one's admission counts");
        }
    }

    fn opened(&self) -> Result<&Opened, Status> {
        self.0.get().ok_or_else(|| Status::service_unavailable("the server is starting"))
    }
}

fn stopped() -> Status {
    Status::service_unavailable("the server is stopping")
}

/// What plug-ins see of the store.
struct Lookup(Weak<Inner>);

#[async_trait]
impl Objects for Lookup {
    async fn get(&self, resource: Gvr<'_>, namespace: &str, name: &str) -> Result<Option<Object>, Status> {
        let inner = self.0.upgrade().ok_or_else(stopped)?;
        let (group, version, plural) = resource;
        if inner.live.registry.resources().find(group, version, plural).is_none() {
            // Of what is not served there are no objects.
            return Ok(None);
        }
        inner.live.get(resource, namespace, name).await
    }

    async fn list(&self, (group, version, plural): Gvr<'_>, namespace: &str) -> Result<Vec<Object>, Status> {
        let inner = self.0.upgrade().ok_or_else(stopped)?;
        let live = &inner.live;
        let resource = live.resource(group, version, plural)?;
        let cx = live.context(namespace, "");
        let listed = live.registry.list(&resource, &cx, &ListOptions::default(), View::Object).await?;
        let list: Value = serde_json::from_slice(&listed.chunks.concat()).map_err(Status::internal)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().filter_map(|item| Object::from_value(item).ok()).collect())
    }
}

fn request<'a>(a: &Attributes<'a>, warn: &'a (dyn Fn(&str) + Sync)) -> Request<'a> {
    let facts = a.resource.facts();
    Request {
        operation: match a.operation {
            Operation::Create => admission::Operation::Create,
            Operation::Update => admission::Operation::Update,
            Operation::Delete => admission::Operation::Delete,
            Operation::Connect => admission::Operation::Connect,
        },
        group: &facts.gvk.group,
        kind: &facts.gvk.kind,
        resource: &facts.plural,
        namespaced: facts.namespaced,
        subresource: a.subresource,
        namespace: a.namespace,
        name: a.name,
        user: a.user,
        old: a.old,
        options: a.options,
        dry_run: a.dry_run,
        warn,
    }
}

#[async_trait]
impl registry::Admission for Gate {
    async fn mutate(&self, attributes: &Attributes<'_>, object: Option<&mut Object>) -> Result<(), Status> {
        let warn = |text: &str| attributes.warnings.push(text);
        self.opened()?.chain.mutate(&request(attributes, &warn), object).await
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let opened = self.opened()?;
        let warn = |text: &str| attributes.warnings.push(text);
        opened.chain.validate(&request(attributes, &warn), object).await?;
        escalation(opened, attributes, object)?;
        let inner = opened.server.upgrade().ok_or_else(stopped)?;
        signers::check(&ApiServer { inner }, attributes, object).await
    }
}

/// Nobody grants more than he holds.
fn escalation(opened: &Opened, a: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
    let facts = a.resource.facts();
    let writes = matches!(a.operation, Operation::Create | Operation::Update) && a.subresource.is_empty();
    let (Some(new), true) = (object, writes && facts.gvk.group == auth::rbac::GROUP) else { return Ok(()) };
    let server = opened.server.upgrade().ok_or_else(stopped)?;
    if !server.config.authorization.rbac {
        return Ok(());
    }
    let write = Write { user: a.user, resource: &facts.plural, namespace: a.namespace, new, old: a.old };
    write.check(&server.rbac, &server.chain).map_err(|refusal| match refusal {
        Escalation::NoSuchRole(_) => {
            let role = auth::rbac::role_ref_of(new);
            let plural = if role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
            Status::not_found(&apimachinery::GroupResource::new(auth::rbac::GROUP, plural), &role.name)
        }
        other => Status::forbidden(&facts.group_resource(), new.name(), &other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use apimachinery::Reason;

    use super::*;

    #[test]
    fn a_closed_gate_refuses() {
        assert!(Gate::new().opened().is_err_and(|s| s.is(Reason::ServiceUnavailable)));
    }
}
