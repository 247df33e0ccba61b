//! Of several servers each has its cluster DNS, in an EndpointSlice of its own. That of a server that died must not be
//! asked: it is ready as long as the server is among the endpoints of the Service `kubernetes`, which the servers keep
//! to those that live. Runs where the controllers run.

use api::discovery::v1::EndpointSlice;
use client::{ApiError, Client, Patch, PatchParams};
use controller_runtime::{Controller, Error, Informers, Key, Lister, Next, Scope, Tasks, Watch, run};
use serde_json::json;

use crate::addons::{DNS_ACCOUNT, DNS_SELECTOR, SERVER_ANNOTATION};

/// Starts it, until `tasks` end.
pub(crate) fn start(client: Client, tasks: &Tasks) {
    let informers = Informers::new(client.clone(), tasks.clone());
    let of_dns = Scope { namespace: DNS_ACCOUNT.0.to_owned(), labels: DNS_SELECTOR.to_owned(), ..Scope::default() };
    let of_servers =
        Scope { namespace: "default".to_owned(), fields: "metadata.name=kubernetes".to_owned(), ..Scope::default() };
    let (slices, servers) = (informers.watch_scoped(of_dns), informers.watch_scoped(of_servers));
    run(tasks, DnsEndpoints { client, slices, servers }, 1);
}

struct DnsEndpoints {
    client: Client,
    /// Each with the DNS of one server.
    slices: Lister<EndpointSlice>,
    /// The one with the addresses of all.
    servers: Lister<EndpointSlice>,
}

impl Controller for DnsEndpoints {
    const NAME: &'static str = "dns_endpoints";

    fn watches(&self) -> Vec<Watch> {
        let slices = self.slices.clone();
        let all = move |_: &_| slices.entries().iter().map(|slice| slice.header.key.clone()).collect();
        vec![Watch::own(&self.slices), Watch::mapped(&self.servers, all)]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(slice) = self.slices.fetch(key)? else { return Ok(Next::Settled) };
        let Some(ready) = verdict(&slice, &self.servers.fetch_all()?) else { return Ok(Next::Settled) };
        let mut endpoints = slice.endpoints.clone();
        for endpoint in endpoints.iter_mut().flatten() {
            endpoint.conditions.get_or_insert_default().ready = Some(ready);
        }
        if endpoints == slice.endpoints {
            return Ok(Next::Settled);
        }
        // Not if it was written meanwhile: by the server that is back.
        let version = &slice.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "endpoints": endpoints});
        let api = self.client.namespaced::<EndpointSlice>(&key.namespace);
        match api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => {
                tracing::info!(slice = %key.name, ready, "the DNS of a server is or is not asked");
                Ok(Next::Settled)
            }
            // The change comes.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the server of a slice lives; none if nobody can tell.
fn verdict(slice: &EndpointSlice, servers: &[EndpointSlice]) -> Option<bool> {
    let server = slice.metadata.annotations.as_ref()?.get(SERVER_ANNOTATION)?;
    let endpoints = servers.iter().flat_map(|servers| servers.endpoints.iter().flatten());
    let mut live = endpoints.flat_map(|endpoint| &endpoint.addresses);
    // Whoever runs this lives: without any address the slice is just being made.
    live.clone().next()?;
    Some(live.any(|address| address == server))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn slice(annotations: serde_json::Value, addresses: &[&str]) -> EndpointSlice {
        serde_json::from_value(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "s", "annotations": annotations}, "endpoints": [{"addresses": addresses}],
        }))
        .unwrap()
    }

    #[test]
    fn who_is_among_the_servers_lives() {
        let own = slice(json!({SERVER_ANNOTATION: "10.0.0.1"}), &["10.244.0.1"]);
        let servers = |addresses: &[&str]| [slice(json!({}), addresses)];
        assert_eq!(verdict(&own, &servers(&["10.0.0.1", "10.0.0.2"])), Some(true));
        assert_eq!(verdict(&own, &servers(&["10.0.0.2"])), Some(false));
        assert_eq!(verdict(&own, &servers(&[])), None);
        assert_eq!(verdict(&own, &[]), None);
        assert_eq!(verdict(&slice(json!({}), &["10.244.0.1"]), &servers(&["10.0.0.2"])), None);
    }
}
