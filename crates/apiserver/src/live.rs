//! Reads and writes the server makes for itself, through the same pipeline as everybody.

use std::sync::Arc;

use apimachinery::{Object, Reason, Status, UserInfo};
use async_trait::async_trait;
use registry::{GetOptions, Registry, RequestContext, Resource, View};

/// The user the server acts as when it writes for itself.
pub(crate) fn server_user() -> UserInfo {
    UserInfo::new("system:apiserver", &["system:masters"])
}

/// Whether somebody else wrote or deleted the same object meanwhile.
pub(crate) fn is_race(status: &Status) -> bool {
    [Reason::AlreadyExists, Reason::Conflict, Reason::NotFound].into_iter().any(|reason| status.is(reason))
}

/// The registry as the server itself uses it.
#[derive(Clone)]
pub(crate) struct Live {
    pub registry: Registry,
}

impl Live {
    pub(crate) fn resource(&self, group: &str, version: &str, plural: &str) -> Result<Arc<dyn Resource>, Status> {
        self.registry
            .resources()
            .find(group, version, plural)
            .ok_or_else(|| Status::internal(format!("{plural}.{group}/{version} is not served here")))
    }

    pub(crate) fn context(&self, namespace: &str, name: &str) -> RequestContext {
        let mut cx = RequestContext::new(server_user(), (!namespace.is_empty()).then_some(namespace), name);
        cx.user_agent = "kube-apiserver".to_owned();
        cx
    }

    /// An object as it is now; `None` when there is none.
    pub(crate) async fn get(
        &self,
        gvr: (&str, &str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, Status> {
        self.read(gvr, namespace, name, "").await
    }

    async fn read(
        &self,
        (group, version, plural): (&str, &str, &str),
        namespace: &str,
        name: &str,
        resource_version: &str,
    ) -> Result<Option<Object>, Status> {
        let resource = self.resource(group, version, plural)?;
        let cx = self.context(namespace, name);
        let options = GetOptions { resource_version: resource_version.to_owned() };
        match self.registry.get(&resource, &cx, &options, View::Object).await {
            Ok(bytes) => Object::from_slice(&bytes).map(Some).map_err(Status::internal),
            Err(status) if status.is(Reason::NotFound) => Ok(None),
            Err(status) => Err(status),
        }
    }
}

#[async_trait]
impl auth::Reader for Live {
    /// From memory first: every request of a pod asks. What is not there may be so new that only the store knows.
    async fn core(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Object>, Status> {
        let gvr = ("", "v1", resource);
        match self.read(gvr, namespace, name, "0").await? {
            Some(object) => Ok(Some(object)),
            None => self.get(gvr, namespace, name).await,
        }
    }
}
