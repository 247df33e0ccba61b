//! Connections through this server to kubelets and pods: log, exec, attach, port-forward, proxy.

mod kubelet;
mod log_options;
mod target;

use apimachinery::{GroupResource, Status};
use futures::{FutureExt, future::BoxFuture};
use http::Response;
use kinds::Subresource;

use crate::{
    negotiation::Accepted,
    resources::Call,
    respond::{self, Body},
    server::ApiServer,
};

impl ApiServer {
    pub(crate) async fn connect(&self, call: Call) -> Response<Body> {
        let looks = call.cx.looks(Accepted::default());
        self.connected(call).await.unwrap_or_else(|status| looks.status(&status))
    }

    fn connected(&self, call: Call) -> BoxFuture<'_, Result<Response<Body>, Status>> {
        match (call.entry.facts().plural.as_str(), call.entry.subresource) {
            ("pods", Some(Subresource::Log)) => self.pod_log(call).boxed(),
            ("pods", Some(Subresource::Exec | Subresource::Attach | Subresource::PortForward)) => {
                self.pod_stream(call).boxed()
            }
            ("pods", Some(Subresource::Proxy)) => self.pod_proxy(call).boxed(),
            ("services", Some(Subresource::Proxy)) => self.service_proxy(call).boxed(),
            ("nodes", Some(Subresource::Proxy)) => self.node_proxy(call).boxed(),
            _ => std::future::ready(Err(respond::no_such_resource())).boxed(),
        }
    }

    pub(super) async fn named(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<apimachinery::Object, Status> {
        let found = self.inner.live.get(("", "v1", resource), namespace, name).await?;
        found.ok_or_else(|| Status::not_found(&GroupResource::new("", resource), name))
    }
}
