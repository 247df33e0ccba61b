//! The face of the pipeline.

use std::{net::IpAddr, sync::Arc};

use apimachinery::Status;
use bytes::Bytes;

use crate::{
    Admission, Body, DeleteOptions, Deleted, GetOptions, ListOptions, Patch, RequestContext, Resource, Resources, View,
    Watcher, Written,
};

/// What the pipeline must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where addresses of Services come from: the network and its prefix length.
    pub service_cluster_ip_range: (IpAddr, u8),
    /// The first and the last node port.
    pub service_node_ports: (u16, u16),
}

impl Default for Config {
    fn default() -> Self {
        Self { service_cluster_ip_range: (IpAddr::from([10, 0, 0, 0]), 24), service_node_ports: (30_000, 32_767) }
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

type Result<T> = std::result::Result<T, Status>;

/// Every resource goes through here. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    resources: Resources,
    _admission: Arc<dyn Admission>,
}

const NOT_YET: &str = "not built";

impl Registry {
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// The namespace and a generated name's prefix come from the body, checked against the URL in `cx`.
    pub async fn create(&self, _resource: &Arc<dyn Resource>, _cx: &RequestContext, _body: Body) -> Result<Written> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn get(
        &self,
        _resource: &Arc<dyn Resource>,
        _cx: &RequestContext,
        _options: &GetOptions,
        _view: View,
    ) -> Result<Bytes> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn list(
        &self,
        _resource: &Arc<dyn Resource>,
        _cx: &RequestContext,
        _options: &ListOptions,
        _view: View,
    ) -> Result<Listed> {
        Err(Status::internal(NOT_YET))
    }

    /// A watch of one object is a watch with `cx.name` set. The timeout is the caller's.
    pub async fn watch(
        &self,
        _resource: &Arc<dyn Resource>,
        _cx: &RequestContext,
        _options: &ListOptions,
        _view: View,
    ) -> Result<Watcher> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn update(&self, _resource: &Arc<dyn Resource>, _cx: &RequestContext, _body: Body) -> Result<Written> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn patch(&self, _resource: &Arc<dyn Resource>, _cx: &RequestContext, _patch: Patch) -> Result<Written> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn delete(
        &self,
        _resource: &Arc<dyn Resource>,
        _cx: &RequestContext,
        _options: &DeleteOptions,
    ) -> Result<Deleted> {
        Err(Status::internal(NOT_YET))
    }

    /// Deletes what a list with the same options would show, and answers with that list.
    pub async fn delete_collection(
        &self,
        _resource: &Arc<dyn Resource>,
        _cx: &RequestContext,
        _list: &ListOptions,
        _options: &DeleteOptions,
    ) -> Result<Listed> {
        Err(Status::internal(NOT_YET))
    }

    /// PUT of `/status`, and `/finalize` of namespaces, `/scale`, `/ephemeralcontainers`, `/resize`: by name.
    pub async fn update_subresource(
        &self,
        _resource: &Arc<dyn Resource>,
        _subresource: &str,
        _cx: &RequestContext,
        _body: Body,
    ) -> Result<Written> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn patch_subresource(
        &self,
        _resource: &Arc<dyn Resource>,
        _subresource: &str,
        _cx: &RequestContext,
        _patch: Patch,
    ) -> Result<Written> {
        Err(Status::internal(NOT_YET))
    }

    pub async fn get_subresource(
        &self,
        _resource: &Arc<dyn Resource>,
        _subresource: &str,
        _cx: &RequestContext,
        _options: &GetOptions,
    ) -> Result<Bytes> {
        Err(Status::internal(NOT_YET))
    }

    /// POST of `/binding` and `/eviction`; a Success `Status`. The kind `Binding` itself is created through here too.
    pub async fn create_subresource(
        &self,
        _resource: &Arc<dyn Resource>,
        _subresource: &str,
        _cx: &RequestContext,
        _body: Body,
    ) -> Result<Status> {
        Err(Status::internal(NOT_YET))
    }
}
