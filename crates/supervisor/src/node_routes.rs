//! Routes to the pods of other nodes, by way of those nodes: what a node knows of another is its address and the
//! network of its pods. Works where nodes reach each other directly, without a router between.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use api::core::v1::Node;
use client::Client;
use controller_runtime::{Backoff, Informers, Lister, Tasks};
use netlink::{Route, Socket};

use crate::Cidr;

/// What another node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    name: String,
    address: IpAddr,
    pods: (IpAddr, u8),
}

/// Keeps the routes in accordance with the nodes until the tasks are stopped. They stay then, as pods do.
pub(crate) fn start(own: &str, network: Cidr, client: Client, tasks: &Tasks) {
    let informers = Informers::new(client, tasks.clone());
    let nodes: Lister<Node> = informers.watch();
    let own = own.to_owned();
    tasks.spawn("node-routes", async move {
        informers.synced().await;
        let mut changes = nodes.subscribe();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        let mut told = BTreeSet::new();
        loop {
            while changes.try_next().is_some() {}
            let done = match nodes.fetch_all() {
                Ok(all) => program(peers(&own, &all), network, &mut told),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = done {
                tracing::error!(error = format!("{error:#}"), "routes to other nodes could not be changed");
                tokio::time::sleep(backoff.next_delay()).await;
                continue;
            }
            backoff.reset();
            changes.next().await;
        }
    });
}

/// Removes every route a node has made.
pub(crate) fn tear_down(network: Cidr) -> anyhow::Result<()> {
    program(Vec::new(), network, &mut BTreeSet::new())
}

fn peers(own: &str, nodes: &[Node]) -> Vec<Peer> {
    let peer = |node: &Node| {
        let name = node.metadata.name.clone().filter(|name| name != own)?;
        let addresses = node.status.as_ref()?.addresses.as_ref()?;
        let address = addresses.iter().find(|a| a.type_ == "InternalIP")?.address.parse().ok()?;
        let (base, prefix) = node.spec.as_ref()?.pod_cidr.as_ref()?.split_once('/')?;
        Some(Peer { name, address, pods: (base.parse().ok()?, prefix.parse().ok()?) })
    };
    nodes.iter().filter_map(peer).collect()
}

/// A few messages to the kernel, which answers at once.
fn program(peers: Vec<Peer>, network: Cidr, told: &mut BTreeSet<Peer>) -> anyhow::Result<()> {
    let mut socket = Socket::open()?;
    let routes = socket.routes()?;
    told.retain(|peer| peers.contains(peer));
    let mut wanted = Vec::new();
    for peer in peers {
        match link_to(&routes, peer.address) {
            Some(link) => wanted.push(Route { destination: peer.pods, gateway: Some(peer.address), link }),
            None if told.insert(peer.clone()) => tracing::error!(
                node = peer.name,
                address = %peer.address,
                "the node is in no network this machine is directly in: its pods cannot be reached from here"
            ),
            None => {}
        }
    }
    let ours = |route: &&Route| match route.destination.0 {
        IpAddr::V4(v4) => route.gateway.is_some() && !route.is_default() && network.contains(v4),
        IpAddr::V6(_) => false,
    };
    for route in routes.iter().filter(ours).filter(|route| !wanted.contains(route)) {
        socket.delete_route(route)?;
    }
    for route in wanted.iter().filter(|route| !routes.contains(route)) {
        socket.add_route(route)?;
        tracing::info!(to = %route.destination.0, "route to a node's pods");
    }
    Ok(())
}

/// The link on which an address is reached without a gateway.
fn link_to(routes: &[Route], address: IpAddr) -> Option<u32> {
    let direct =
        |route: &&Route| route.gateway.is_none() && !route.is_default() && contains(route.destination, address);
    routes.iter().filter(direct).max_by_key(|route| route.destination.1).map(|route| route.link)
}

fn contains((network, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_peer_has_an_address_and_pods_and_is_not_this_node() {
        let node = |value| serde_json::from_value::<Node>(value).expect("a node");
        let status =
            json!({"addresses": [{"type": "Hostname", "address": "b"}, {"type": "InternalIP", "address": "10.0.0.2"}]});
        let nodes = [
            node(json!({"metadata": {"name": "a"}, "spec": {"podCIDR": "10.244.0.0/24"}, "status": status})),
            node(json!({"metadata": {"name": "b"}, "spec": {"podCIDR": "10.244.1.0/24"}, "status": status})),
            node(json!({"metadata": {"name": "c"}, "status": status})),
            node(json!({"metadata": {"name": "d"}, "spec": {"podCIDR": "10.244.2.0/24"}})),
        ];
        let found = peers("a", &nodes);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pods, (IpAddr::from([10, 244, 1, 0]), 24));
    }

    #[test]
    fn a_node_is_reached_on_the_link_of_its_network() {
        let route = |network: [u8; 4], prefix, gateway: Option<[u8; 4]>, link| Route {
            destination: (network.into(), prefix),
            gateway: gateway.map(Into::into),
            link,
        };
        let routes = [
            route([0, 0, 0, 0], 0, Some([10, 0, 0, 1]), 2),
            route([10, 0, 0, 0], 24, None, 2),
            route([10, 0, 0, 0], 8, None, 3),
        ];
        assert_eq!(link_to(&routes, [10, 0, 0, 7].into()), Some(2));
        assert_eq!(link_to(&routes, [10, 9, 0, 7].into()), Some(3));
        assert_eq!(link_to(&routes, [192, 0, 2, 7].into()), None);
    }
}
