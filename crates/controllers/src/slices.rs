//! Writes of endpoint slices, which several controllers make for services.

use api::discovery::v1::EndpointSlice;
use client::{ApiError, Client, DeleteParams, PostParams, Preconditions};
use controller_runtime::{Key, Ledger, Lister};

/// What is to become of a service's slices.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    pub(crate) delete: Vec<EndpointSlice>,
}

/// Writes the changes and notes them in the ledger of the service's `key`.
pub(crate) async fn write(
    client: &Client,
    lister: &Lister<EndpointSlice>,
    ledger: &Ledger,
    key: &Key,
    changes: Changes,
) -> Result<(), client::Error> {
    let slices = client.namespaced::<EndpointSlice>(&key.namespace);
    for slice in changes.create {
        let made = slices.create(&PostParams::default(), &slice).await?;
        ledger.wrote(key, lister, made.metadata.resource_version.as_deref());
    }
    for slice in changes.update {
        let name = slice.metadata.name.clone().unwrap_or_default();
        let written = slices.replace(&name, &PostParams::default(), &slice).await?;
        ledger.wrote(key, lister, written.metadata.resource_version.as_deref());
    }
    for slice in changes.delete {
        let name = slice.metadata.name.unwrap_or_default();
        let uid = slice.metadata.uid.unwrap_or_default();
        let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match slices.delete(&name, &params).await {
            Ok(_) => ledger.deleted(key, lister, Key::new(key.namespace.clone(), name.as_str()), &uid),
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
