//! The service accounts controller: every namespace has an account called `default`.

use api::{
    core::v1::{Namespace, ServiceAccount},
    meta::ObjectMeta,
};
use client::{ApiError, PostParams};
use controller_runtime::{Controller, Error, Key, Lister, Next, Scope, Watch};

use crate::{context::Context, namespace::is_active};

const DEFAULT: &str = "default";

pub(crate) struct ServiceAccountController {
    context: Context,
    namespaces: Lister<Namespace>,
    accounts: Lister<ServiceAccount>,
}

impl ServiceAccountController {
    pub(crate) fn new(context: Context) -> Self {
        let scope = Scope { fields: format!("metadata.name={DEFAULT}"), ..Scope::default() };
        let (namespaces, accounts) = (context.informers.watch(), context.informers.watch_scoped(scope));
        Self { context, namespaces, accounts }
    }
}

impl Controller for ServiceAccountController {
    const NAME: &'static str = "serviceaccount";

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::own(&self.namespaces),
            Watch::mapped(&self.accounts, |change| vec![Key::cluster(change.key.namespace.clone())]),
        ]
    }

    /// The name is fixed, so a cache that lags costs a refused request and no second account.
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let active = self.namespaces.fetch(key)?.is_some_and(|namespace| is_active(&namespace));
        if !active || self.accounts.get(&Key::new(key.name.clone(), DEFAULT)).is_some() {
            return Ok(Next::Settled);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(DEFAULT.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        let accounts = self.context.client.namespaced::<ServiceAccount>(&key.name);
        match accounts.create(&PostParams::default(), &account).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}
