//! Reads and writes the server makes for itself, through the same pipeline as everybody.

use std::sync::Arc;

use apimachinery::{Object, Reason, Status, UserInfo};
use async_trait::async_trait;
use registry::{GetOptions, Registry, RequestContext, Resource, View};

/// The user the server acts as when it writes for itself.
pub(crate) fn server_user() -> UserInfo {
    UserInfo::new("system:apiserver", &["system:masters"])
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
        (group, version, plural): (&str, &str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, Status> {
        let resource = self.resource(group, version, plural)?;
        let cx = self.context(namespace, name);
        match self.registry.get(&resource, &cx, &GetOptions::default(), View::Object).await {
            Ok(bytes) => Object::from_slice(&bytes).map(Some).map_err(Status::internal),
            Err(status) if status.is(Reason::NotFound) => Ok(None),
            Err(status) => Err(status),
        }
    }
}

#[async_trait]
impl auth::Reader for Live {
    async fn core(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<Object>, Status> {
        self.get(("", "v1", resource), namespace, name).await
    }
}
