//! The face of the pipeline.

use std::{net::IpAddr, sync::Arc, time::Duration};

use apimachinery::{Object, Status};
use bytes::Bytes;
use kinds::Verb;
use store::{Snapshot, Store, Writes};

use crate::{
    Admission, Body, DeleteOptions, Deleted, GetOptions, ListOptions, Patch, RequestContext, Resource, Resources, View,
    Watcher, Written, decode, failure,
    services::{Claim, Services},
    update::{Source, Update},
    view,
    watch::Frames,
};

/// What the pipeline must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where addresses of Services come from: the network and its prefix length.
    pub service_cluster_ip_range: (IpAddr, u8),
    /// The first and the last node port.
    pub service_node_ports: (u16, u16),
    /// How long events are kept after they were last written.
    pub event_ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_cluster_ip_range: (IpAddr::from([10, 0, 0, 0]), 24),
            service_node_ports: (30_000, 32_767),
            event_ttl: Duration::from_secs(3600),
        }
    }
}

/// A list as the pieces of its encoding, most of which are shared with the store.
#[derive(Clone, Debug)]
pub struct Listed {
    pub chunks: Vec<Bytes>,
}

impl Listed {
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }
}

/// How long etcd may take to answer before it counts as away, as upstream's health checks have it.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

type Result<T> = std::result::Result<T, Status>;

/// Every resource goes through here. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    resources: Resources,
    admission: Arc<dyn Admission>,
    frames: Arc<Frames>,
    services: Services,
    event_ttl: Duration,
}

impl Registry {
    pub fn new(config: &Config, store: Store, resources: Resources, admission: Arc<dyn Admission>) -> Self {
        let services = Services::new(config);
        let event_ttl = config.event_ttl;
        Self { inner: Arc::new(Inner { store, resources, admission, frames: Arc::default(), services, event_ttl }) }
    }

    pub fn resources(&self) -> &Resources {
        &self.inner.resources
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn admission(&self) -> &dyn Admission {
        self.inner.admission.as_ref()
    }

    pub(crate) fn frames(&self) -> &Arc<Frames> {
        &self.inner.frames
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    /// Whether the store takes writes. A full disk counts as well: reads go on, and writes too as soon as there is
    /// space. Etcd is asked.
    pub async fn is_store_well(&self) -> bool {
        let health = self.store().health();
        match (health.writes, health.etcd) {
            (_, Some(etcd)) if etcd.is_over => false,
            (_, Some(_)) => matches!(tokio::time::timeout(STORE_PATIENCE, self.store().current()).await, Ok(Ok(_))),
            (Writes::Ok | Writes::NoSpace, None) => true,
            (Writes::Poisoned | Writes::Unavailable | Writes::Stopped, None) => false,
        }
    }

    pub(crate) fn event_ttl(&self) -> Duration {
        self.inner.event_ttl
    }

    /// All keys, not older than any write that was acknowledged, by whichever server.
    pub(crate) async fn current(&self) -> Result<Snapshot> {
        self.store().current().await.map_err(|error| failure::of_read(&error))
    }

    /// The newest revision: what is acknowledged is not newer.
    pub fn revision(&self) -> u64 {
        self.store().revision().0
    }

    /// Decodes and defaults a body that is answered and not stored, such as a review.
    pub fn decode(&self, resource: &Arc<dyn Resource>, cx: &RequestContext, body: Body) -> Result<Object> {
        let mut object = decode::body(self.resources(), &decode::Expected::of(resource.as_ref()), cx, body)?;
        resource.default(&mut object)?;
        Ok(object)
    }

    /// A generated name's prefix comes from the body, which is checked against the URL in `cx`.
    pub async fn create(&self, resource: &Arc<dyn Resource>, cx: &RequestContext, body: Body) -> Result<Written> {
        allowed(resource, Verb::Create, "create")?;
        self.create_body(resource, cx, body).await
    }

    pub async fn get(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &GetOptions,
        view: View,
    ) -> Result<Bytes> {
        allowed(resource, Verb::Get, "get")?;
        self.read_one(resource, cx, options, view).await
    }

    pub async fn list(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &ListOptions,
        view: View,
    ) -> Result<Listed> {
        allowed(resource, Verb::List, "list")?;
        self.list_view(resource, cx, options, view).await
    }

    /// A watch of one object is a watch with `cx.name` set. The timeout is the caller's. A refusal before the first
    /// event of a watch that was opened for a version too old is an ERROR event upstream: see [`WatchEvent::error`].
    ///
    /// [`WatchEvent::error`]: crate::WatchEvent::error
    pub async fn watch(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &ListOptions,
        view: View,
    ) -> Result<Watcher> {
        allowed(resource, Verb::Watch, "watch")?;
        self.open_watch(resource, cx, options, view).await
    }

    pub async fn update(&self, resource: &Arc<dyn Resource>, cx: &RequestContext, body: Body) -> Result<Written> {
        allowed(resource, Verb::Update, "update")?;
        self.put_body(resource, "", cx, body).await
    }

    pub async fn patch(&self, resource: &Arc<dyn Resource>, cx: &RequestContext, patch: Patch) -> Result<Written> {
        allowed(resource, Verb::Patch, "patch")?;
        self.change(&Update { resource, cx, subresource: "", source: Source::Patch(&patch) }).await
    }

    pub async fn delete(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &DeleteOptions,
    ) -> Result<Deleted> {
        allowed(resource, Verb::Delete, "delete")?;
        self.delete_one(resource, cx, options).await
    }

    /// Deletes what a list with the same options would show, and answers with that list.
    pub async fn delete_collection(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Listed> {
        allowed(resource, Verb::DeleteCollection, "delete collection")?;
        self.delete_listed(resource, cx, list, options).await
    }

    /// An object as it is answered after a write.
    pub(crate) fn shown(&self, resource: &dyn Resource, stored: &Bytes) -> Result<Bytes> {
        view::object(resource, stored, View::Object, 0)
    }

    /// Chooses what the object needs that others may not have, addresses and ports; to be committed with it.
    pub(crate) async fn claim(
        &self,
        resource: &dyn Resource,
        cx: &RequestContext,
        new: &mut Object,
        old: Option<&Object>,
    ) -> Result<Claim> {
        if !self.is_services(resource) {
            return Ok(Claim::default());
        }
        let snapshot = self.current().await?;
        self.services().claim(&snapshot, cx.dry_run, new, old, &cx.timestamp())
    }

    /// What an object that goes gives back.
    pub(crate) fn release(&self, resource: &dyn Resource, object: &Object) -> Claim {
        if self.is_services(resource) { self.services().release(object) } else { Claim::default() }
    }

    pub(crate) fn is_services(&self, resource: &dyn Resource) -> bool {
        let facts = resource.facts();
        facts.gvk.group.is_empty() && facts.plural == "services"
    }
}

fn allowed(resource: &Arc<dyn Resource>, verb: Verb, action: &str) -> Result<()> {
    let facts = resource.facts();
    if facts.can(verb) { Ok(()) } else { Err(Status::method_not_supported(&facts.group_resource(), action)) }
}
