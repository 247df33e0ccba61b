//! The node IPAM controller: every node gets a subnet of the pods' network.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::core::v1::Node;
use client::{Patch, PatchParams};
use controller_runtime::{Controller, Error, Key, Lister, Next, Watch};
use serde_json::json;

use crate::context::Context;

/// When no subnet is free, one may be after a node is deleted, which is seen; this is for what is not.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The network of all pods, and how much of it a node gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSubnets {
    pub network: Ipv4Addr,
    pub prefix: u8,
    pub node_prefix: u8,
}

impl NodeSubnets {
    fn count(self) -> u32 {
        1_u32.checked_shl(u32::from(self.node_prefix.saturating_sub(self.prefix))).unwrap_or(u32::MAX)
    }

    fn nth(self, n: u32) -> String {
        let size = 1_u32.checked_shl(32 - u32::from(self.node_prefix)).unwrap_or(0);
        format!("{}/{}", Ipv4Addr::from(u32::from(self.network) + n * size), self.node_prefix)
    }

    /// The lowest subnet that nobody has. The first is the server's own node's, which takes it without asking.
    fn free(self, taken: &[String]) -> Option<String> {
        (1..self.count()).map(|n| self.nth(n)).find(|subnet| !taken.contains(subnet))
    }
}

pub(crate) struct NodeIpamController {
    context: Context,
    subnets: NodeSubnets,
    nodes: Lister<Node>,
    /// What was given and may not be seen in the cache yet.
    given: Mutex<BTreeMap<String, String>>,
}

impl NodeIpamController {
    pub(crate) fn new(context: Context, subnets: NodeSubnets) -> Self {
        let nodes = context.informers.watch();
        Self { context, subnets, nodes, given: Mutex::default() }
    }

    /// The subnet for a node, remembered.
    fn choose(&self, name: &str, nodes: &[Node]) -> Option<String> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |name: &String| nodes.iter().any(|n| n.metadata.name.as_ref() == Some(name));
        given.retain(|node, _| known(node));
        if let Some(subnet) = given.get(name) {
            return Some(subnet.clone());
        }
        let mut taken: Vec<String> = nodes.iter().filter_map(|n| n.spec.as_ref()?.pod_cidr.clone()).collect();
        taken.extend(given.values().cloned());
        let subnet = self.subnets.free(&taken)?;
        given.insert(name.to_owned(), subnet.clone());
        Some(subnet)
    }
}

impl Controller for NodeIpamController {
    const NAME: &'static str = "nodeipam";

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::own(&self.nodes)]
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(node) = self.nodes.fetch(key)? else { return Ok(Next::Settled) };
        if node.spec.as_ref().is_some_and(|s| s.pod_cidr.is_some()) {
            return Ok(Next::Settled);
        }
        let Some(subnet) = self.choose(&key.name, &self.nodes.fetch_all()?) else {
            tracing::error!(node = %key.name, "no subnet of the pods' network is free: use a larger --cluster-cidr");
            return Ok(Next::After(TRY_AGAIN));
        };
        let patch = json!({"spec": {"podCIDR": subnet, "podCIDRs": [subnet]}});
        let api = self.context.client.all::<Node>();
        match api.patch(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Ok(_) => Ok(Next::Settled),
            Err(error) if client::ApiError::is_not_found(&error) => Ok(Next::Settled),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_subnet_is_given_and_the_first_kept() {
        let subnets = NodeSubnets { network: Ipv4Addr::new(10, 244, 0, 0), prefix: 22, node_prefix: 24 };
        let free = |taken: &[&str]| subnets.free(&taken.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(free(&[]).as_deref(), Some("10.244.1.0/24"));
        assert_eq!(free(&["10.244.1.0/24"]).as_deref(), Some("10.244.2.0/24"));
        assert_eq!(free(&["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]), None);
    }
}
