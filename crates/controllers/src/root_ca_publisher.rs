//! The root CA publisher: every namespace has a config map with the certificate pods trust the API server by.

use std::collections::BTreeMap;

use api::{
    core::v1::{ConfigMap, Namespace},
    meta::ObjectMeta,
};
use client::{ApiError, PostParams};
use controller_runtime::{Controller, Error, Key, Lister, Next, Scope, Watch};

use crate::{context::Context, namespace::is_active};

const NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// Upstream's words; they are data that users see.
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using \
    internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
    distributions of Kubernetes clusters.";

pub(crate) struct RootCaPublisher {
    context: Context,
    root_ca_pem: String,
    namespaces: Lister<Namespace>,
    config_maps: Lister<ConfigMap>,
}

impl RootCaPublisher {
    pub(crate) fn new(context: Context, root_ca_pem: String) -> Self {
        let scope = Scope { fields: format!("metadata.name={NAME}"), ..Scope::default() };
        let (namespaces, config_maps) = (context.informers.watch(), context.informers.watch_scoped(scope));
        Self { context, root_ca_pem, namespaces, config_maps }
    }
}

#[derive(Debug, PartialEq)]
enum Plan {
    Settled,
    Create(Box<ConfigMap>),
    Replace(Box<ConfigMap>),
}

/// Pure.
fn plan(root_ca_pem: &str, current: Option<ConfigMap>) -> Plan {
    let data = BTreeMap::from([(FILE.to_owned(), root_ca_pem.to_owned())]);
    let Some(mut current) = current else {
        return Plan::Create(Box::new(ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                annotations: Some(BTreeMap::from([(DESCRIPTION.to_owned(), DESCRIPTION_TEXT.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        }));
    };
    let described = current.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(DESCRIPTION));
    if described && current.data.as_ref() == Some(&data) {
        return Plan::Settled;
    }
    current.data = Some(data);
    let annotations = current.metadata.annotations.get_or_insert_default();
    annotations.insert(DESCRIPTION.to_owned(), DESCRIPTION_TEXT.to_owned());
    Plan::Replace(Box::new(current))
}

impl Controller for RootCaPublisher {
    const NAME: &'static str = "root_ca_cert_publisher";

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::own(&self.namespaces),
            Watch::mapped(&self.config_maps, |change| vec![Key::cluster(change.key.namespace.clone())]),
        ]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if !self.namespaces.fetch(key)?.is_some_and(|namespace| is_active(&namespace)) {
            return Ok(Next::Settled);
        }
        let current = self.config_maps.fetch_in(&key.name, NAME)?;
        let config_maps = self.context.client.namespaced::<ConfigMap>(&key.name);
        let written = match plan(&self.root_ca_pem, current) {
            Plan::Settled => return Ok(Next::Settled),
            Plan::Create(wanted) => config_maps.create(&PostParams::default(), &wanted).await,
            Plan::Replace(wanted) => config_maps.replace(NAME, &PostParams::default(), &wanted).await,
        };
        match written {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_mended_and_the_rest_left_alone() {
        let Plan::Create(made) = plan("PEM", None) else { panic!("not made") };
        assert_eq!(plan("PEM", Some((*made).clone())), Plan::Settled);
        let mut changed = *made;
        changed.metadata.annotations.get_or_insert_default().insert("mine".to_owned(), "kept".to_owned());
        changed.data.get_or_insert_default().insert("other".to_owned(), "x".to_owned());
        let Plan::Replace(mended) = plan("PEM", Some(changed)) else { panic!("not mended") };
        assert_eq!(mended.data.as_ref().map(BTreeMap::len), Some(1));
        assert_eq!(mended.metadata.annotations.as_ref().map(BTreeMap::len), Some(2));
        assert!(matches!(plan("NEW", Some(*mended)), Plan::Replace(_)));
    }
}
