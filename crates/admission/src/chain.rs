//! The plug-ins in their order.

use std::sync::Arc;

use apimachinery::{Object, Status};
use async_trait::async_trait;

use crate::{
    Objects, Request, certificate_requestor::CertificateRequestor,
    default_toleration_seconds::DefaultTolerationSeconds, namespace_lifecycle::NamespaceLifecycle,
    node_restriction::NodeRestriction, pod_security::PodSecurity, priority::Priority, runtime_class::RuntimeClass,
    service_account::ServiceAccount, taint_nodes_by_condition::TaintNodesByCondition,
};

/// One concern of admission. Both steps do nothing unless a plug-in says otherwise.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// As upstream's flags name it.
    fn name(&self) -> &'static str;

    /// May change the object.
    async fn mutate(
        &self,
        _request: &Request<'_>,
        _object: Option<&mut Object>,
        _objects: &dyn Objects,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Sees the object as it will be stored.
    async fn validate(
        &self,
        _request: &Request<'_>,
        _object: Option<&Object>,
        _objects: &dyn Objects,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// All plug-ins, and where they look things up.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
    objects: Arc<dyn Objects>,
}

impl Chain {
    /// What is on by default.
    pub fn builtin(objects: Arc<dyn Objects>) -> Self {
        let plugins: Vec<Box<dyn Plugin>> = vec![
            Box::new(NamespaceLifecycle),
            Box::new(ServiceAccount),
            Box::new(NodeRestriction),
            Box::new(TaintNodesByCondition),
            Box::new(PodSecurity),
            Box::new(Priority),
            Box::new(DefaultTolerationSeconds),
            Box::new(RuntimeClass),
            Box::new(CertificateRequestor),
        ];
        Self { plugins, objects }
    }

    pub async fn mutate(&self, request: &Request<'_>, mut object: Option<&mut Object>) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.mutate(request, object.as_deref_mut(), self.objects.as_ref()).await?;
        }
        Ok(())
    }

    pub async fn validate(&self, request: &Request<'_>, object: Option<&Object>) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.validate(request, object, self.objects.as_ref()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
